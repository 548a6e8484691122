"""Turns `knowledge/` into training text: conversations with the answers that the model has to learn.

    python make_data.py            writes build/train.jsonl and prints how near the held-out questions come to it

Every line of the result is one conversation: {"kind", "system", "turns": [[question, answer], …]}. All text comes from
the files in `knowledge/`; there is no other source.
"""

import argparse
import json
import random
from collections import Counter

from kinds import Facts, Intents, Outside, Stories, Sums
from wording import HERE, Patterns, Variation, load, normalise

SEED = 20
CONVERSATIONS = 300_000

# The share of each kind of question, for each stage of the training. The second stage has more of what is learned by
# copying (stories) and by heart (facts), because that takes longest; the later ones return to what matters most.
STAGES = {
    1: {"qmesh": 46, "smalltalk": 8, "facts": 9, "sums": 10, "stories": 5, "outside": 22},
    2: {"qmesh": 41, "smalltalk": 8, "facts": 11, "sums": 10, "stories": 9, "outside": 21},
    3: {"qmesh": 47, "smalltalk": 9, "facts": 9, "sums": 11, "stories": 4, "outside": 20},
    4: {"qmesh": 48, "smalltalk": 7, "facts": 9, "sums": 10, "stories": 5, "outside": 21},
    5: {"qmesh": 46, "smalltalk": 7, "facts": 7, "sums": 8, "stories": 6, "outside": 26},
}
# From this stage on, the questions of `knowledge/later.yaml` are used too, and a question is also dropped if it merely
# comes near a held-out one: if the two share this part of their words (Jaccard index).
LATER = 5
TOO_NEAR = 0.75
# Facts, sums and stories have a handful of shapes and differ in one word; nearness means nothing there.
WORDED = ("qmesh", "smalltalk", "outside")


class Maker:
    def __init__(self, held_out: set[str], stage: int):
        self.held_out = held_out
        self.shares = STAGES[stage]
        self.near = [frozenset(question.split()) for question in held_out] if stage >= LATER else []
        later = load("later.yaml") if stage >= LATER else {}
        self.patterns = Patterns(load("phrases.yaml"))
        self.variation = Variation()
        mesh_entries = [entry for part in (1, 2, 3) for entry in load(f"qmesh-{part}.yaml")]
        mesh = Intents(self.patterns, mesh_entries, later.get("qmesh"))
        sums = Sums(self.patterns)
        self.kinds = {
            "qmesh": mesh,
            "smalltalk": Intents(self.patterns, load("smalltalk.yaml"), later.get("smalltalk")),
            "facts": Facts(self.patterns),
            "sums": sums,
            "stories": Stories(self.patterns),
            "outside": Outside(self.patterns, sums, later.get("outside")),
        }

    def question(self, rng: random.Random) -> tuple[str, str, str]:
        while True:
            kind = rng.choices(list(self.shares), list(self.shares.values()))[0]
            ask, answer = self.kinds[kind].sample(rng)
            ask = self.variation.reword(ask, kind, rng)
            # A held-out question must never be trained, not even by chance.
            words = normalise(ask)
            if ask and words not in self.held_out and not (kind in WORDED and self.too_near(words)):
                return kind, ask, answer

    def too_near(self, words: str) -> bool:
        bag = set(words.split())
        return any(len(bag & other) >= TOO_NEAR * len(bag | other) for other in self.near)

    def conversation(self, rng: random.Random) -> dict:
        count = rng.choices((1, 2, 3), (80, 14, 6))[0]
        turns = [self.question(rng) for _ in range(count)]
        system = None
        if rng.random() < 0.07:
            system = rng.choice(self.variation.systems)
        return {
            "kind": turns[-1][0],
            "system": system,
            "turns": [[ask, answer] for _, ask, answer in turns],
        }


def all_answers(maker: Maker) -> dict:
    """Every answer that the data holds: the evaluation compares with it to see whether an answer is whole and well-formed."""
    whole: set[str] = set()
    for kind in ("qmesh", "smalltalk"):
        whole.update(answer for answer, _ in maker.kinds[kind].entries)
    whole.add(maker.kinds["outside"].answer)
    whole.update(f"{a} {sign} {b} = {result}." for sign, a, b, result in maker.kinds["sums"].sums)
    facts = maker.kinds["facts"]
    whole.update(answer for answer, _ in facts.single.entries)
    rng = random.Random(0)
    for _ in range(20_000):
        whole.add(facts.sample(rng)[1])
    return {"whole": sorted(whole), "stories": maker.kinds["stories"].plots}


def held_out_questions() -> list[str]:
    questions = json.loads((HERE / "eval" / "questions.json").read_text(encoding="utf-8"))["questions"]
    return [turn for q in questions if q["heldOut"] for turn in q["turns"][-1:]]


def report_overlap(held_out: list[str], trained: set[str]) -> list[tuple[float, str, str]]:
    """For each held-out question the trained one that shares most words with it (Jaccard index)."""
    by_word: dict[str, list[int]] = {}
    bags = []
    for number, text in enumerate(trained):
        bag = frozenset(text.split())
        bags.append((bag, text))
        for word in bag:
            by_word.setdefault(word, []).append(number)
    rows = []
    for question in held_out:
        bag = set(normalise(question).split())
        shared: Counter[int] = Counter()
        for word in bag:
            shared.update(by_word.get(word, ()))
        best = max(
            ((count / len(bag | bags[number][0]), bags[number][1]) for number, count in shared.most_common(4000)),
            default=(0.0, ""),
        )
        rows.append((best[0], question, best[1]))
    return sorted(rows, reverse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=CONVERSATIONS)
    parser.add_argument("--stage", type=int, default=1, choices=STAGES)
    parser.add_argument("--overlap", action="store_true", help="also report how near the held-out questions come")
    options = parser.parse_args()

    held_out = held_out_questions()
    maker = Maker({normalise(question) for question in held_out}, options.stage)
    rng = random.Random(SEED + options.stage - 1)
    build = HERE / "build"
    build.mkdir(exist_ok=True)
    trained: set[str] = set()
    kinds: Counter[str] = Counter()
    with open(build / "train.jsonl", "w", encoding="utf-8") as out:
        for _ in range(options.count):
            conversation = maker.conversation(rng)
            kinds[conversation["kind"]] += 1
            trained.update(normalise(ask) for ask, _ in conversation["turns"])
            out.write(json.dumps(conversation, ensure_ascii=False) + "\n")
    answers = json.dumps(all_answers(maker), ensure_ascii=False, indent=1)
    (HERE / "eval" / "answers.json").write_text(answers + "\n", encoding="utf-8")
    print(f"{options.count} conversations, {len(trained)} different questions, by kind: {dict(kinds)}")
    present = [question for question in held_out if normalise(question) in trained]
    print(f"{len(held_out)} held-out questions, {len(present)} of them in the training text")
    if present:
        raise SystemExit(f"held-out questions were trained: {present}")
    if options.overlap:
        rows = report_overlap(held_out, trained)
        mean = sum(row[0] for row in rows) / len(rows)
        (build / "overlap.json").write_text(json.dumps({"mean": mean, "rows": rows}, indent=1, ensure_ascii=False))
        print(f"nearest trained question shares on average {mean:.2f} of the words; the nearest five:")
        for share, question, nearest in rows[:5]:
            print(f"  {share:.2f}  {question}  ~  {nearest}")


if __name__ == "__main__":
    main()
