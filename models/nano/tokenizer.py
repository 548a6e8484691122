"""The tokenizer of qmesh-nano: byte-level BPE, so that every text can be written, whatever its letters.

    python tokenizer.py            learns build/tokenizer.json from build/train.jsonl

The text is split before the merges in the way that llama.cpp calls `llama-bpe`; the exported file names that rule.
"""

import json
import random
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = Path(__file__).parent
BUILD = HERE / "build"
VOCABULARY = 2560
SAMPLE = 120_000

END_OF_TEXT = "<|endoftext|>"
START = "<|im_start|>"
END = "<|im_end|>"
SPECIAL = [END_OF_TEXT, START, END]

SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)


def chat_prefix(system: str | None) -> str:
    return f"{START}system\n{system}{END}\n" if system else ""


def chat_question(question: str) -> str:
    return f"{START}user\n{question}{END}\n{START}assistant\n"


def new_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def load_tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(BUILD / "tokenizer.json"))


def texts():
    """Questions as often as they occur, each answer only a few times: otherwise the answers would take all merges."""
    seen: dict[str, int] = {}
    lines = (BUILD / "train.jsonl").read_text(encoding="utf-8").splitlines()
    random.Random(1).shuffle(lines)
    for line in lines[:SAMPLE]:
        conversation = json.loads(line)
        yield "user\nassistant\nsystem\n"
        for question, answer in conversation["turns"]:
            yield question
            seen[answer] = seen.get(answer, 0) + 1
            if seen[answer] <= 40:
                yield answer


def main() -> None:
    tokenizer = new_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    tokenizer.save(str(BUILD / "tokenizer.json"))
    print(f"{tokenizer.get_vocab_size()} tokens")


if __name__ == "__main__":
    main()
