"""Trains qmesh-nano on the conversations in build/train.jsonl and writes build/model.pt.

    python train.py --minutes 65                    the first stage, from nothing
    python train.py --minutes 15 --resume --peak 6e-4   a later stage, on new data, from the last checkpoint

The length of a run is given in minutes and the learning rate follows the clock, so that a run always ends with a cooled
model, whatever the machine has to do besides. A checkpoint is written every few minutes.
"""

import argparse
import json
import math
import os
import random
import time
from dataclasses import asdict

# Threads that wait actively for a core that another program has are slower than none. This must be set before the import.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")

import torch
import torch.nn.functional as F

from model import Nano, Shape
from tokenizer import BUILD, END, END_OF_TEXT, chat_prefix, chat_question, load_tokenizer

SEED = 20
TOKENS_PER_STEP = 2048
LONGEST = 400
# The question decides the first tokens of an answer, and the rest follows from them and is learned soon. So most long
# answers are cut after their start, which lets the model see more than twice as many questions in the same time.
CUT_AFTER = 11
STORY_CUT_AFTER = 30
CUT_SHARE = 0.78
WARMUP = 0.015


def encode(
    conversation: dict, ids_of: dict[str, list[int]], cut_stories: bool, cut_share: float, rng: random.Random
) -> tuple[list[int], list[bool]]:
    """The tokens of a conversation, and which of them the model must learn to say."""
    # Some programs put the beginning-of-text token before a chat and some do not; the model must not care.
    ids = list(ids_of[END_OF_TEXT]) if rng.random() < 0.5 else []
    ids += ids_of[chat_prefix(conversation["system"])]
    learn = [False] * len(ids)
    for number, (question, answer) in enumerate(conversation["turns"]):
        asked = ids_of[("\n" if number else "") + chat_question(question)]
        said = ids_of[answer + END]
        last = number == len(conversation["turns"]) - 1
        cut = CUT_AFTER
        if conversation["kind"] == "stories":
            cut = STORY_CUT_AFTER if cut_stories else len(said)
        if last and len(said) > 2 * cut and rng.random() < cut_share:
            said = said[:cut]
        ids += asked + said
        learn += [False] * len(asked) + [True] * len(said)
    return ids, learn


def load_examples(tokenizer, cut_stories: bool, cut_share: float, seed: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    rng = random.Random(seed)
    conversations = [json.loads(line) for line in (BUILD / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    texts = {END_OF_TEXT: None}
    for conversation in conversations:
        texts[chat_prefix(conversation["system"])] = None
        for number, (question, answer) in enumerate(conversation["turns"]):
            texts[("\n" if number else "") + chat_question(question)] = None
            texts[answer + END] = None
    unique = list(texts)
    ids_of = {text: encoding.ids for text, encoding in zip(unique, tokenizer.encode_batch_fast(unique))}
    examples = []
    for conversation in conversations:
        ids, learn = encode(conversation, ids_of, cut_stories, cut_share, rng)
        if len(ids) <= LONGEST:
            examples.append((torch.tensor(ids, dtype=torch.int16), torch.tensor(learn)))
    return examples


def batches(examples: list, rng: random.Random):
    """Endless batches of nearly equal lengths, each of about TOKENS_PER_STEP tokens, in random order."""
    while True:
        order = list(range(len(examples)))
        rng.shuffle(order)
        # Sorting within windows keeps the order random while rows of a batch need little padding.
        for start in range(0, len(order), 4096):
            window = sorted(order[start : start + 4096], key=lambda i: len(examples[i][0]))
            groups, group = [], []
            for i in window:
                if group and (len(group) + 1) * len(examples[i][0]) > TOKENS_PER_STEP:
                    groups.append(group)
                    group = []
                group.append(i)
            groups.append(group)
            rng.shuffle(groups)
            for group in groups:
                yield collate([examples[i] for i in group])


def collate(rows: list) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    longest = max(len(ids) for ids, _ in rows)
    tokens = torch.zeros(len(rows), longest, dtype=torch.long)
    learn = torch.zeros(len(rows), longest, dtype=torch.bool)
    for row, (ids, mask) in enumerate(rows):
        tokens[row, : len(ids)] = ids.long()
        learn[row, : len(ids)] = mask
    return tokens[:, :-1], tokens[:, 1:], learn[:, 1:]


def rate_at(progress: float, peak: float) -> float:
    if progress < WARMUP:
        return peak * progress / WARMUP
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def save(model: Nano, steps: int, tokens: int) -> None:
    target = BUILD / "model.pt"
    part = target.with_suffix(".part")
    torch.save({"shape": asdict(model.shape), "state": model.state_dict(), "steps": steps, "tokens": tokens}, part)
    part.replace(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=65)
    parser.add_argument("--stop", type=float, help="stop after so many minutes, before the rate has cooled")
    parser.add_argument("--peak", type=float, default=2e-3, help="the highest learning rate")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--cut-share", type=float, default=CUT_SHARE, help="how many of the long answers are cut")
    parser.add_argument("--cut-stories", action="store_true", help="cut most stories after their start, too")
    parser.add_argument("--resume", action="store_true", help="go on from build/model.pt")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    rng = random.Random(options.seed)
    tokenizer = load_tokenizer()
    examples = load_examples(tokenizer, options.cut_stories, options.cut_share, options.seed)
    total = sum(len(ids) for ids, _ in examples)
    print(f"{len(examples)} conversations, {total} tokens, {total / len(examples):.1f} each", flush=True)

    steps = tokens_seen = 0
    if options.resume:
        saved = torch.load(BUILD / "model.pt")
        model = Nano(Shape(**saved["shape"]))
        model.load_state_dict(saved["state"])
        steps, tokens_seen = saved["steps"], saved["tokens"]
    else:
        model = Nano(Shape(vocab=tokenizer.get_vocab_size()))
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"{count / 1e6:.2f} M parameters, {options.minutes} minutes", flush=True)

    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
        lr=options.peak,
        betas=(0.9, 0.98),
        fused=True,
    )
    started = reported = saved_at = time.monotonic()
    length = options.minutes * 60
    losses: list[float] = []
    first = tokens_seen
    for inputs, targets, learn in batches(examples, rng):
        progress = (time.monotonic() - started) / length
        if progress >= min(1, (options.stop or options.minutes) / options.minutes):
            break
        for group in optimizer.param_groups:
            group["lr"] = rate_at(progress, options.peak)
        hidden = model.hidden_states(inputs)[learn]
        loss = F.cross_entropy(model.logits(hidden), targets[learn])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        steps += 1
        tokens_seen += inputs.numel()
        losses.append(loss.item())
        now = time.monotonic()
        if now - reported > 60:
            speed = (tokens_seen - first) / (now - started)
            mean = sum(losses) / len(losses)
            print(f"{(now - started) / 60:5.1f} min  step {steps}  loss {mean:.4f}  {speed:.0f} tokens/s", flush=True)
            reported, losses = now, []
        if now - saved_at > 240:
            save(model, steps, tokens_seen)
            saved_at = now
    save(model, steps, tokens_seen)
    print(f"finished after {steps} steps and {tokens_seen} tokens", flush=True)


if __name__ == "__main__":
    main()
