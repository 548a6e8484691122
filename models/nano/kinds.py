"""The kinds of questions that qmesh-nano is trained on; each kind gives random pairs of a question and its answer."""

import random
import re

from wording import Patterns, invented_word, lines_of, load, with_article

NUMBER_WORDS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
]
LARGEST_ADDEND = 20
LARGEST_FACTOR = 12


# How many of the questions come from `knowledge/later.yaml` in the stages that use it.
LATER_MESH = 0.14
LATER_OUTSIDE = 0.5


class Intents:
    """Entries with one answer and many ways to ask."""

    def __init__(self, patterns: Patterns, entries: list[dict], later: dict[str, str] | None = None):
        """`later` has more ways to ask for some of the answers, by id; these answers then come up more often."""
        self.patterns = patterns
        self.entries = [(" ".join(e["answer"].split()), lines_of(e["ask"])) for e in entries]
        of_id = {e["id"]: number for number, e in enumerate(entries)}
        self.later = [(self.entries[of_id[id]][0], lines_of(asks)) for id, asks in (later or {}).items()]

    def sample(self, rng: random.Random) -> tuple[str, str]:
        more = self.later and rng.random() < LATER_MESH
        if more:
            # By the number of their patterns: the weakest answers have most of them.
            answer, asks = rng.choices(self.later, [len(asks) for _, asks in self.later])[0]
        else:
            answer, asks = rng.choice(self.entries)
        return self.patterns.expand(rng.choice(asks), rng), answer


class Facts:
    def __init__(self, patterns: Patterns):
        spec = load("facts.yaml")
        self.patterns = patterns
        self.spec = spec
        self.single = Intents(patterns, spec["single"])
        self.makers = [
            (4, self.capital),
            (2, self.day),
            (2, self.month),
            (4, self.opposite),
            (2, self.colour),
            (2, self.legs),
            (2, self.sound),
            (2, self.young),
            (4, self.single.sample),
        ]

    def sample(self, rng: random.Random) -> tuple[str, str]:
        weights, makers = zip(*self.makers)
        return rng.choices(makers, weights)[0](rng)

    def capital(self, rng: random.Random) -> tuple[str, str]:
        country, city = rng.choice(list(self.spec["capitals"].items()))
        asked = rng.choice([country, country] + self.spec["other_names"].get(country, []))
        pattern = rng.choice(CAPITAL_ASKS)
        end = "" if city.endswith(".") else "."
        return self.patterns.expand(pattern, rng).replace("{x}", asked), f"The capital of {country} is {city}{end}"

    def day(self, rng: random.Random) -> tuple[str, str]:
        return self.neighbour(self.spec["days"], "day", rng)

    def month(self, rng: random.Random) -> tuple[str, str]:
        return self.neighbour(self.spec["months"], "month", rng)

    def neighbour(self, names: list[str], unit: str, rng: random.Random) -> tuple[str, str]:
        at = rng.randrange(len(names))
        after = rng.random() < 0.6
        other = names[(at + (1 if after else -1)) % len(names)]
        asks = AFTER_ASKS if after else BEFORE_ASKS
        question = self.patterns.expand(rng.choice(asks), rng).replace("{x}", names[at]).replace("{unit}", unit)
        return question, f"{other} comes {'after' if after else 'before'} {names[at]}."

    def opposite(self, rng: random.Random) -> tuple[str, str]:
        pair = rng.choice(self.spec["opposites"])
        word, other = pair if rng.random() < 0.5 else reversed(pair)
        question = self.patterns.expand(rng.choice(OPPOSITE_ASKS), rng).replace("{x}", word)
        return question, f"The opposite of {word} is {other}."

    def colour(self, rng: random.Random) -> tuple[str, str]:
        thing, colour = rng.choice(list(self.spec["colours"].items()))
        question = self.patterns.expand(rng.choice(COLOUR_ASKS), rng).replace("{x}", thing)
        return question, f"{thing[0].upper() + thing[1:]} is {colour}."

    def legs(self, rng: random.Random) -> tuple[str, str]:
        animal, count = rng.choice(list(self.spec["legs"].items()))
        question = self.patterns.expand(rng.choice(LEGS_ASKS), rng).replace("{x}", animal)
        return question, f"{animal[0].upper() + animal[1:]} has {count} legs."

    def sound(self, rng: random.Random) -> tuple[str, str]:
        animal, sound = rng.choice(list(self.spec["sounds"].items()))
        question = self.patterns.expand(rng.choice(SOUND_ASKS), rng).replace("{x}", animal)
        return question, f"{animal[0].upper() + animal[1:]} says {sound}."

    def young(self, rng: random.Random) -> tuple[str, str]:
        animal, young = rng.choice(list(self.spec["young"].items()))
        bare = animal.split(" ", 1)[1]
        question = self.patterns.expand(rng.choice(YOUNG_ASKS), rng).replace("{x}", animal).replace("{bare}", bare)
        return question, f"A young {bare} is called a {young}."


CAPITAL_ASKS = [
    "(what is|what's|whats|name|tell me|do you know|say|which is|i need|give me) the (capital|capital city) of {x}",
    "(what|which) (city|town) is (the capital of {x}|{x}'s capital)",
    "capital of {x}",
    "(the|) capital (city|) of {x}",
    "{x} capital",
    "(what is|what's|tell me|name) {x}'s capital",
    "{x}'s capital (is|is what|please|)",
    "what is the name of the capital of {x}",
    "how is the capital of {x} called",
    "can you (tell me|name|say) the capital of {x}",
    "and (the capital of|of) {x}",
    "the capital of {x} is (what|which city|)",
]
AFTER_ASKS = [
    "(what|which) {unit} (comes|is|follows) (after|right after|directly after) {x}",
    "(what|which) (comes|is|follows) (after|next after) {x}",
    "(what|which) {unit} follows {x}",
    "after {x} comes (what|which {unit}|)",
    "(what is|what's|tell me|name) the (next {unit} after|{unit} after|{unit} that follows) {x}",
    "if (today|it|this) is {x}, what (is next|comes next|is the next {unit})",
    "the {unit} after {x}",
    "{x} is followed by (what|which {unit})",
]
BEFORE_ASKS = [
    "(what|which) {unit} (comes|is) (before|right before|directly before) {x}",
    "(what|which) (comes|is) before {x}",
    "before {x} comes (what|which {unit}|)",
    "(what is|what's|tell me|name) the {unit} before {x}",
    "the {unit} before {x}",
]
OPPOSITE_ASKS = [
    "(what is|what's|whats|tell me|name|say|give me|do you know|which is) the (opposite|contrary|antonym) of {x}",
    "(the|) opposite of {x}",
    "{x} opposite",
    "what is the opposite (word|) (of|to|for) {x}",
    "(which|what) word is the opposite of {x}",
    "the opposite of {x} is (what|)",
    "{x}'s opposite",
    "antonym (of|for) {x}",
    "not {x} but (what|)",
]
COLOUR_ASKS = [
    "(what|which) (colour|color) (is|has) {x}",
    "(what is|what's|tell me|name|say) the (colour|color) of {x}",
    "(what|which) (colour|color) does {x} have",
    "(colour|color) of {x}",
    "{x} has (what|which) (colour|color)",
    "is {x} (red|blue|green|yellow|white|black)",
    "how (colourful|colored) is {x}",
]
LEGS_ASKS = [
    "how many legs (does|has) {x} (have|has|got|)",
    "how many legs are on {x}",
    "(number|count) of legs of {x}",
    "{x} has how many legs",
    "(what is|tell me|say) the number of legs of {x}",
    "legs of {x}",
    "on how many legs does {x} (walk|stand)",
]
SOUND_ASKS = [
    "(what|which) (sound|noise) does {x} make",
    "what does {x} say",
    "how does {x} (sound|go|talk)",
    "the (sound|noise) of {x}",
    "(what is|tell me|make) the (sound|noise) (of|that) {x} (makes|)",
    "{x} says what",
]
YOUNG_ASKS = [
    "(what|how) is (a baby|a young|a little) {bare} called",
    "what (do you|do people|do we) call (a baby|a young) {bare}",
    "(what is|what's|tell me) the (name|word) (of|for) a (baby|young) {bare}",
    "(what is|what's) a (baby|young) {bare}",
    "a (baby|young) {bare} is called (what|)",
    "(the|) (child|baby|young|young one) of {x}",
    "(what is|name) the young of {x}",
]


class Sums:
    """Every sum within the range, in digits and in words. What is beyond the range belongs to the outside."""

    ASKS = [
        "(what is|what's|whats|how much is|calculate|compute|tell me|say|work out|solve|do you know|can you calculate|what does|find|what would be|what makes|please calculate) {e}",
        "{e}",
        "{e} =",
        "{e} = ?",
        "{e} (is what|equals|makes|is|gives|equals what|gives what|makes how much)",
        "(how much|what) (does|do|would|will) {e} (make|equal|give|be)",
        "(the result of|result of|the sum|sum:|calculate:|the answer to) {e}",
        "can you (tell me|do|calculate|work out) {e}",
        "what (is the result|is the answer|do i get|do you get|comes out) (of|for|from|with) {e}",
        "i need to know {e}",
    ]
    WHOLE = {
        "+": [
            "(add|please add|can you add|could you add|i want to add|let us add) {a} (and|to|plus) {b}",
            "(what is|what's|tell me|give me) the sum of {a} and {b}",
            "(what do i get|what is it|what happens) (if|when) (i|you|we) add {a} (and|to) {b}",
            "i have {a} (apples|coins|books|eggs) and (get|buy|find) {b} more, (how many are that|how many do i have|how many)",
        ],
        "-": [
            "(subtract|take|take away|can you subtract|could you subtract|i want to subtract) {b} from {a}",
            "(what is|what's|tell me|give me) the difference (of|between) {a} and {b}",
            "(what is left|what do i get|what remains) (if|when) (i|you|we) (take|subtract) {b} from {a}",
            "i have {a} (apples|coins|books|eggs) and (give away|lose|eat|sell) {b}, (how many are left|how many do i have|how many)",
        ],
        "×": [
            "(multiply|please multiply|can you multiply|could you multiply|i want to multiply) {a} (by|with|and|times) {b}",
            "(what is|what's|tell me|give me) the product of {a} and {b}",
            "(what do i get|what is it) (if|when) (i|you|we) multiply {a} (by|with|and) {b}",
            "{a} (boxes|bags) with {b} (eggs|apples|coins) each, (how many are that|how many|how many in all)",
        ],
    }
    SIGNS = {
        "+": [" + ", "+", " plus ", " and "],
        "-": [" - ", "-", " minus ", " take away "],
        "×": [" x ", " * ", "x", "*", " times ", " × ", " multiplied by "],
    }

    def __init__(self, patterns: Patterns):
        self.patterns = patterns
        addends = range(LARGEST_ADDEND + 1)
        factors = range(LARGEST_FACTOR + 1)
        self.sums = [("+", a, b, a + b) for a in addends for b in addends]
        self.sums += [("-", a, b, a - b) for a in addends for b in range(a + 1)]
        self.sums += [("×", a, b, a * b) for a in factors for b in factors] * 2

    def sample(self, rng: random.Random) -> tuple[str, str]:
        sign, a, b, result = rng.choice(self.sums)
        return self.ask(sign, a, b, rng), f"{a} {sign} {b} = {result}."

    def ask(self, sign: str, a: int, b: int, rng: random.Random) -> str:
        words = rng.random() < 0.3 and max(a, b) <= 20
        left, right = (NUMBER_WORDS[a], NUMBER_WORDS[b]) if words else (str(a), str(b))
        if rng.random() < 0.22:
            pattern = rng.choice(self.WHOLE[sign])
            return self.patterns.expand(pattern, rng).replace("{a}", left).replace("{b}", right)
        written = rng.choice(self.SIGNS[sign])
        if words and not written.strip().isalpha():
            written = {"+": " plus ", "-": " minus ", "×": " times "}[sign]
        if written == " and ":
            return rng.choice(["what is ", "how much is ", "", "what do i get for "]) + f"{left} and {right}"
        expression = left + written + right
        return self.patterns.expand(rng.choice(self.ASKS), rng).replace("{e}", expression)

    def beyond(self, rng: random.Random) -> str:
        """A sum outside the trained range."""
        roll = rng.random()
        if roll < 0.6:
            sign = rng.choice("+-×")
            limit = LARGEST_FACTOR if sign == "×" else LARGEST_ADDEND
            big = rng.choice((limit + rng.randint(1, 9), rng.randint(limit + 1, 99), rng.randint(100, 9999)))
            small = rng.choice((rng.randint(0, 20), rng.randint(0, 99), rng.randint(100, 999)))
            a, b = (big, small) if sign == "-" or rng.random() < 0.5 else (small, big)
            return self.ask(sign, a, b, rng)
        a, b = rng.randint(1, 999), rng.randint(1, 99)
        expression = rng.choice(
            [f"{a} / {b}", f"{a} divided by {b}", f"{a} : {b}", f"{a}/{b}", f"{a} to the power of {b % 9}", f"{a}^2",
             f"{a}.5 + {b}.2", f"the square root of {a}", f"{a} percent of {b}", f"{b}% of {a}", f"{a} modulo {b}",
             f"half of {a}", f"the cube of {b}", f"{b} + {a} * {b}", f"({a} + {b}) * 2", f"-{b} - {a}"]
        )  # fmt: skip
        return self.patterns.expand(rng.choice(self.ASKS), rng).replace("{e}", expression)


class Stories:
    def __init__(self, patterns: Patterns):
        spec = load("stories.yaml")
        self.patterns = patterns
        self.asks = lines_of(spec["ask"])
        self.asks_any = lines_of(spec["ask_any"])
        self.any = spec["any"].split(" ", 1)[1]
        self.plots = [" ".join(plot.split()) for plot in spec["plots"]]
        self.nouns = [noun.replace("-", " ") for noun in spec["nouns"].split()]

    def sample(self, rng: random.Random) -> tuple[str, str]:
        if rng.random() < 0.08:
            return self.patterns.expand(rng.choice(self.asks_any), rng), self.tell(self.any, rng)
        roll = rng.random()
        noun = rng.choice(self.nouns) if roll < 0.6 else invented_word(rng)
        if rng.random() < 0.1:
            noun = (
                rng.choice(
                    [
                        "little",
                        "big",
                        "old",
                        "young",
                        "red",
                        "blue",
                        "brave",
                        "small",
                        "clever",
                        "lonely",
                        "happy",
                        "white",
                    ]
                )
                + " "
                + noun
            )
        question = self.patterns.expand(rng.choice(self.asks), rng)
        return question.replace("{a}", with_article(noun)).replace("{noun}", noun), self.tell(noun, rng)

    def tell(self, noun: str, rng: random.Random) -> str:
        plot = rng.choice(self.plots)
        return plot.replace("{a}", with_article(noun)).replace("{the}", f"the {noun}").replace("{The}", f"The {noun}")


class Outside:
    def __init__(self, patterns: Patterns, sums: Sums, later: dict[str, str] | None = None):
        spec = load("outside.yaml")
        self.patterns = patterns
        self.sums = sums
        self.answer = " ".join(spec["answer"].split())
        self.whole = lines_of(spec["whole"])
        self.foreign = lines_of(spec["foreign"])
        self.countries = self.names(spec["other_countries"])
        things = [self.names(spec[key]) for key in ("science", "technology", "goods", "matters")]
        self.topics = [
            (self.names(spec["people"]), lines_of(spec["asks_people"])),
            (self.names(spec["events"]), lines_of(spec["asks_events"])),
            (self.names(spec["places"]), lines_of(spec["asks_places"])),
            *((names, lines_of(spec["asks_things"])) for names in things),
        ]
        self.later = lines_of(later["whole"]) if later else []
        self.groups = {name.upper(): self.names(later[name]) for name in ("org", "device", "animal")} if later else {}

    @staticmethod
    def names(block: str) -> list[str]:
        return [name.strip() for name in " ".join(block.split()).split(",") if name.strip()]

    def sample(self, rng: random.Random) -> tuple[str, str]:
        if self.later and rng.random() < LATER_OUTSIDE:
            question = self.patterns.expand(rng.choice(self.later), rng)
            return re.sub(r"\$([A-Z]+)", lambda m: rng.choice(self.groups[m[1]]), question), self.answer
        roll = rng.random()
        if roll < 0.36:
            question = self.about_topic(rng)
        elif roll < 0.66:
            question = self.patterns.expand(rng.choice(self.whole), rng)
        elif roll < 0.76:
            question = self.about_invented(rng)
        elif roll < 0.83:
            country = rng.choice(self.countries) if rng.random() < 0.75 else invented_word(rng).capitalize()
            question = self.patterns.expand(rng.choice(CAPITAL_ASKS), rng).replace("{x}", country)
        elif roll < 0.91:
            question = self.sums.beyond(rng)
        elif roll < 0.95:
            question = self.patterns.expand(rng.choice(self.foreign), rng)
        else:
            question = self.gibberish(rng)
        return question, self.answer

    def about_topic(self, rng: random.Random) -> str:
        names, asks = rng.choice(self.topics)
        question = self.patterns.expand(rng.choice(asks), rng)
        return re.sub(r"\$X", lambda _: rng.choice(names), question)

    def about_invented(self, rng: random.Random) -> str:
        """Known shapes with unknown words, sometimes the very shapes in which people ask about QMesh."""
        if rng.random() < 0.5:
            _, asks = rng.choice(self.topics)
            question = self.patterns.expand(rng.choice(asks), rng)
            return re.sub(r"\$X", lambda _: self.unknown(rng), question)
        shape = rng.choice(
            ["what is {}", "how do i start {}", "what happens when {} dies", "who runs {}", "what does {} mean",
             "how does {} work", "which command {}", "how do i stop {}", "where is {}", "is there a {}", "can i use {}",
             "why is {} so slow", "explain {}", "how many {} are there", "what are {}", "tell me about {}",
             "who is {}", "how much is {}", "do i need {}", "how do i get {}", "what is the {} of {}", "who won {}",
             "is {} safe", "how to {}", "when did {} {}", "give me {}", "{}", "{} {}", "what is the opposite of {}",
             "what colour is {}", "what sound does {} make", "write {} about {}", "does {} cost anything"]
        )  # fmt: skip
        return re.sub(r"\{\}", lambda _: self.unknown(rng), shape)

    @staticmethod
    def unknown(rng: random.Random) -> str:
        word = invented_word(rng)
        if rng.random() < 0.3:
            word = with_article(word)
        elif rng.random() < 0.3:
            word = word.capitalize()
        return word + (" " + invented_word(rng) if rng.random() < 0.25 else "")

    @staticmethod
    def gibberish(rng: random.Random) -> str:
        roll = rng.random()
        if roll < 0.5:
            return " ".join(
                "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(2, 8)))
                for _ in range(rng.randint(1, 4))
            )
        if roll < 0.8:
            return " ".join(invented_word(rng) for _ in range(rng.randint(2, 5)))
        return "".join(rng.choice("abcdefgh0123456789#$%&*+-=<>/") for _ in range(rng.randint(3, 14)))
