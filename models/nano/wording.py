"""How one question becomes many: patterns with choices, and the same words in another dress."""

import random
import re
from pathlib import Path

import yaml

HERE = Path(__file__).parent
KNOWLEDGE = HERE / "knowledge"


class Patterns:
    """Reads patterns once and expands them at random."""

    def __init__(self, macros: dict[str, str]):
        self.macros = macros
        self.cache: dict[str, list] = {}

    def expand(self, pattern: str, rng: random.Random) -> str:
        if pattern not in self.cache:
            text = re.sub(r"\$([A-Z]+)", lambda m: self.macros.get(m[1], m[0]), pattern)
            self.cache[pattern] = self._parse(text, 0, False)[0]
        return re.sub(r"\s+", " ", self._render(self.cache[pattern], rng)).strip()

    def _parse(self, text: str, at: int, nested: bool) -> tuple[list, int]:
        """A node is a string, or a list of alternatives that are themselves lists of nodes."""
        alternatives: list[list] = [[]]
        plain = ""
        while at < len(text):
            letter = text[at]
            if letter == "(":
                alternatives[-1].append(plain)
                plain = ""
                choice, at = self._parse(text, at + 1, True)
                alternatives[-1].append(choice)
                continue
            if nested and letter in "|)":
                alternatives[-1].append(plain)
                plain = ""
                at += 1
                if letter == ")":
                    return alternatives, at
                alternatives.append([])
                continue
            plain += letter
            at += 1
        if nested:
            raise ValueError(f"unclosed bracket in {text!r}")
        alternatives[-1].append(plain)
        return alternatives, at

    def _render(self, alternatives: list, rng: random.Random) -> str:
        chosen = alternatives[0] if len(alternatives) == 1 else rng.choice(alternatives)
        return "".join(part if isinstance(part, str) else self._render(part, rng) for part in chosen)


def lines_of(block: str) -> list[str]:
    return [line.strip() for line in block.strip().splitlines() if line.strip()]


def load(name: str):
    return yaml.safe_load((KNOWLEDGE / name).read_text(encoding="utf-8"))


# --- The same question in other words ------------------------------------------------------------------------------------


class Variation:
    """Synonyms, politeness, missing words, typing errors, capitals and punctuation."""

    def __init__(self):
        spec = load("variation.yaml")
        self.synonyms: dict[str, list[str]] = spec["synonyms"]
        self.prefixes: list[str] = spec["prefixes"]
        self.suffixes: list[str] = spec["suffixes"]
        self.mesh_suffixes: list[str] = spec["mesh_suffixes"]
        self.stop_words = set(spec["stop_words"].split())
        self.proper = {word.lower(): word for word in spec["proper"].split()}
        self.systems: list[str] = spec["systems"]

    def reword(self, text: str, kind: str, rng: random.Random) -> str:
        """`exact` kinds (facts, sums, stories) keep their words, because a changed word there changes the answer."""
        exact = kind in ("facts", "sums", "stories")
        if not exact and rng.random() < 0.35:
            text = " ".join(
                rng.choice(self.synonyms[word]) if word in self.synonyms and rng.random() < 0.4 else word
                for word in text.split(" ")
            )
        if not exact and rng.random() < 0.10:
            kept = [word for word in text.split(" ") if word not in self.stop_words]
            if len(kept) >= 2:
                text = " ".join(kept)
        elif not exact and rng.random() < 0.06 and text.count(" ") >= 3:
            words = text.split(" ")
            del words[rng.randrange(len(words))]
            text = " ".join(words)
        if kind == "qmesh" and rng.random() < 0.10 and "qmesh" not in text and "mesh" not in text:
            text += rng.choice(self.mesh_suffixes)
        if rng.random() < 0.14:
            text = rng.choice(self.prefixes) + text
        if rng.random() < 0.10:
            text += rng.choice(self.suffixes)
        if not exact and rng.random() < 0.12:
            text = self.mistype(text, rng)
        return self.punctuate(self.capitalise(text, kind, rng), rng)

    def mistype(self, text: str, rng: random.Random) -> str:
        words = text.split(" ")
        at = rng.randrange(len(words))
        word = words[at]
        if len(word) < 4 or not word.isalpha():
            return text
        spot = rng.randrange(1, len(word) - 1)
        error = rng.randrange(4)
        if error == 0:
            word = word[:spot] + word[spot + 1] + word[spot] + word[spot + 2 :]
        elif error == 1:
            word = word[:spot] + word[spot + 1 :]
        elif error == 2:
            word = word[:spot] + word[spot] + word[spot:]
        else:
            word = word[:spot] + rng.choice("abcdefghijklmnopqrstuvwxyz") + word[spot + 1 :]
        words[at] = word
        return " ".join(words)

    def capitalise(self, text: str, kind: str, rng: random.Random) -> str:
        style = rng.random()
        if style < 0.42:
            return text.lower()
        if style < 0.43:
            return text.upper()

        def fix(match: re.Match) -> str:
            return self.proper.get(match[0], match[0])

        text = re.sub(r"(?<![\w-])[a-z][a-z.']*(?![\w-])", fix, text)
        if kind == "outside" and rng.random() < 0.3:
            # Names that the lists hold in small letters would otherwise never be seen with a capital.
            words = text.split(" ")
            at = rng.randrange(len(words))
            words[at : at + 2] = [word[:1].upper() + word[1:] for word in words[at : at + 2]]
            text = " ".join(words)
        return text[:1].upper() + text[1:] if style < 0.95 else text

    def punctuate(self, text: str, rng: random.Random) -> str:
        if text[-1:] in ".?!":
            return text
        asks = re.search(
            r"\b(what|who|how|where|when|why|which|is|are|can|does|do|will|may|could|should|did|was|whose|must)\b",
            text.lower(),
        )
        roll = rng.random()
        if asks:
            return text + ("?" if roll < 0.68 else "." if roll < 0.70 else "??" if roll < 0.71 else "")
        return text + ("." if roll < 0.3 else "!" if roll < 0.42 else "?" if roll < 0.58 else "")


def invented_word(rng: random.Random) -> str:
    """A word that does not exist: it stands for all the words that the model will never have seen."""
    onsets = [
        "b",
        "c",
        "d",
        "f",
        "g",
        "h",
        "j",
        "k",
        "l",
        "m",
        "n",
        "p",
        "r",
        "s",
        "t",
        "v",
        "w",
        "z",
        "br",
        "cr",
        "dr",
        "fl",
        "gr",
        "kl",
        "pl",
        "pr",
        "qu",
        "sh",
        "sk",
        "sl",
        "sn",
        "sp",
        "st",
        "str",
        "th",
        "tr",
        "ch",
    ]
    vowels = ["a", "e", "i", "o", "u", "ai", "ea", "ee", "oo", "ou", "ia", "y"]
    codas = ["", "", "", "n", "r", "s", "t", "l", "m", "nd", "ck", "x", "p", "rd", "st", "ng"]
    endings = ["", "", "", "er", "ing", "ism", "ine", "ium", "o", "ology", "ian", "ette", "us", "ol", "ia"]
    syllables = rng.choice((1, 2, 2, 2, 3))
    body = "".join(rng.choice(onsets) + rng.choice(vowels) + rng.choice(codas) for _ in range(syllables))
    return body + rng.choice(endings)


def with_article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def normalise(text: str) -> str:
    """What two questions have in common when they differ only in capitals, punctuation or spacing."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))
