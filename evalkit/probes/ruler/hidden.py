"""The prompts of RULER's tasks, by the definitions of its repository (NVIDIA/RULER, scripts/data/synthetic and
synthetic.yaml): templates, counts, frequencies, answer prefixes and tokens of an answer.

Each `Made` grows with its number of units (words of an essay, sentences, documents, words of a list), so that a length
in tokens can be met. All draws come from one generator a sample, and none depends on the number of units.
"""

from __future__ import annotations

import math
import random
import string
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

from evalkit.contract.errors import MissingExtra

NOISE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
NEEDLE = "One of the special magic {kind} for {key} is: {value}."
DEPTHS = tuple(round(place * 100 / 39) for place in range(40))
"""Percent: the forty depths at which needles lie."""
ONE = (
    "A special magic {kind} is hidden within the following text. Make sure to memorize it. I will quiz you about the "
    "{kind} afterwards.\n{context}\nWhat is the special magic {kind} for {query} mentioned in the provided text?"
)
SOME = (
    "Some special magic {kind} are hidden within the following text. Make sure to memorize it. I will quiz you about "
    "the {kind} afterwards.\n{context}\nWhat are all the special magic {kind} for {query} mentioned in the "
    "provided text?"
)
TRACKING = (
    "Memorize and track the chain(s) of variable assignment hidden in the following text.\n\n{context}\nQuestion: Find "
    "all variables that are assigned the value {value} in the text above."
)
TRACKED = (
    "Answer: According to the chain(s) of variable assignment in the text above, {count} variables are assgined the "
    "value {value}, they are:"
)
"""The repository's own spelling."""
COMMON = (
    "Below is a numbered list of words. In these words, some appear more often than others. Memorize the ones that "
    "appear most often.\n{context}\nQuestion: What are the 10 most common words in the above list?"
)
COMMON_ARE = "Answer: The top 10 words that appear most often in the list are:"
FREQUENT = (
    "Read the following coded text and track the frequency of each coded word. Find the three most frequently appeared "
    "coded words. {context}\nQuestion: Do not provide any explanation. Please ignore the dots '....'. What are the "
    "three most frequently appeared words in the above coded text?"
)
FREQUENT_ARE = "Answer: According to the coded text above, the three most frequently appeared words are:"
DOCUMENTS = (
    "Answer the question based on the given documents. Only give me the answer and do not output any other words.\n\n"
    "The following are given documents.\n\n{context}\n\nAnswer the question based on the given documents. Only give me "
    "the answer and do not output any other words.\n\nQuestion: {query}"
)
SHORT = 4096
"""Below this length the list of common words repeats its words less often."""
HOPS = 4


@dataclass(frozen=True, slots=True)
class Materials:
    """What a run's prompts are made from: an essay's sentences as words, and questions over documents."""

    essay: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    documents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """``own`` documents (by their places) hold the answer; ``near`` ones are of the same article."""

    text: str
    answers: tuple[str, ...]
    own: tuple[int, ...]
    near: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """A sample: ``write(units)`` is its prompt, ``prefix`` begins the answer. ``most``: units that there are at most;
    ``example(tokens)``: writes what stands before the prompt, of at most so many tokens by ``tokens(text)``.
    """

    write: Callable[[int], str]
    prefix: str
    answers: tuple[str, ...]
    least: int
    most: int | None = None
    depth: float | None = None
    example: Callable[[Callable[[str], int]], str] | None = None


Maker = Callable[[random.Random, Materials, int, int], Made]
"""(generator of the sample, materials, the sample's number, length in tokens) -> the sample."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One of the thirteen. ``tokens``: what an answer may take; ``any_answer``: one of the answers suffices."""

    name: str
    group: str
    tokens: int
    make: Maker
    description: str
    needs: frozenset[str] = field(default=frozenset())
    any_answer: bool = False


def _niah(haystack: str, keys: str, values: str, *, n_keys: int = 1, n_values: int = 1, n_queries: int = 1) -> Maker:
    def make(draw: random.Random, materials: Materials, number: int, length: int) -> Made:
        names = _different(lambda: _drawn(draw, keys), max(n_keys, n_queries))
        found = [_different(lambda: _drawn(draw, values), n_values) for _ in names]
        needles = [
            NEEDLE.format(kind=values, key=key, value=value)
            for key, own in zip(names, found, strict=True)
            for value in own
        ]
        order = draw.sample(range(len(needles)), len(needles))
        depths = sorted(draw.sample(DEPTHS, len(needles)))
        asked = sorted(draw.sample(range(len(names)), n_queries))
        query = _listed([names[place] for place in asked])
        answers = tuple(value for place in asked for value in found[place])
        single = n_queries * n_values == 1
        kind = values.removesuffix("s") if single else values
        seed = draw.getrandbits(64)

        def write(units: int) -> str:
            filler, joined = _filler(haystack, units, keys, values, materials, seed)
            places = [int(len(filler) * depth / 100) for depth in depths]
            parts, done = [], 0
            for place, which in zip(places, order, strict=True):
                parts += [*filler[done:place], needles[which]]
                done = place
            context = joined.join([*parts, *filler[done:]])
            return (ONE if single else SOME).format(kind=kind, context=context, query=query)

        mine = [at for at, which in enumerate(order) if which // n_values in asked]
        verb = "is" if single else "are"
        return Made(
            write,
            f"The special magic {kind} for {query} mentioned in the provided text {verb}",
            answers,
            least=1,
            depth=sum(depths[at] for at in mine) / len(mine),
        )

    return make


def _filler(
    haystack: str, units: int, keys: str, values: str, materials: Materials, seed: int
) -> tuple[Sequence[str], str]:
    """The haystack's pieces, between which needles may lie, and what joins them."""
    if haystack == "noise":
        return [NOISE] * units, "\n"
    if haystack == "needles":
        draw = random.Random(seed)
        made = (NEEDLE.format(kind=values, key=_drawn(draw, keys), value=_drawn(draw, values)) for _ in range(units))
        return list(made), "\n"
    return _sentences(materials.essay, units), " "


def _sentences(essay: tuple[str, ...], words: int) -> list[str]:
    """The first so many words of the essay's sentences; the essay begins anew at its end."""
    found: list[str] = []
    left = words
    at = 0
    while left > 0:
        sentence = essay[at % len(essay)].split(" ")
        found.append(" ".join(sentence[:left]))
        left -= len(sentence)
        at += 1
    return found


def _tracking(draw: random.Random, materials: Materials, number: int, length: int) -> Made:
    write, prefix, names = _chain(draw, 5)

    def example(tokens: Callable[[str], int]) -> str:
        shown, begin, variables = _chain(draw_example, 3)
        last = ""
        for noises in range(5, 500, 5):
            text = f"{shown(noises)} {begin} {' '.join(variables)}\n\n"
            if tokens(text) + 30 > 500:  # the repository's example is made for a length of 500
                break
            last = text
        return last

    draw_example = random.Random(draw.getrandbits(64))
    return Made(write, prefix, names, least=HOPS + 2, example=example)


def _chain(draw: random.Random, letters: int) -> tuple[Callable[[int], str], str, tuple[str, ...]]:
    names = _different(lambda: "".join(draw.choices(string.ascii_uppercase, k=letters)), HOPS + 1)
    value = str(draw.randint(10_000, 99_998))
    steps = [f"VAR {names[0]} = {value}"]
    steps += [f"VAR {after} = VAR {before} " for before, after in pairwise(names)]
    shares = sorted(draw.random() for _ in steps)

    def write(noises: int) -> str:
        sentences = [f"{NOISE}\n"] * noises
        for offset, (share, step) in enumerate(zip(shares, steps, strict=True)):
            sentences.insert(int(share * noises) + offset, step)
        context = " ".join(sentences).replace(". \n", ".\n")
        return TRACKING.format(context=context, value=value)

    return write, TRACKED.format(count=len(names), value=value), tuple(names)


def _common_words(draw: random.Random, materials: Materials, number: int, length: int) -> Made:
    often, seldom = (30, 3) if length >= SHORT else (6, 1)
    shown = _word_list(random.Random(draw.getrandbits(64)), *((10, 3) if length >= SHORT else (3, 1)))
    made, words = _word_list(draw, often, seldom)
    example, example_words = shown[0](40 if length >= SHORT else 20), shown[1]
    listed = " ".join(f"{place}. {word}" for place, word in enumerate(example_words, 1))
    before = f"{COMMON.format(context=example)} {COMMON_ARE}{listed}\n"
    return Made(
        lambda units: before + COMMON.format(context=made(units)), COMMON_ARE, words, least=10, most=len(every_word())
    )


def _word_list(draw: random.Random, often: int, seldom: int) -> tuple[Callable[[int], str], tuple[str, ...]]:
    drawn = draw.sample(every_word(), len(every_word()))
    seed = draw.getrandbits(64)

    def write(words: int) -> str:
        listed = drawn[:10] * often + drawn[10:words] * seldom
        random.Random(seed).shuffle(listed)
        return " ".join(f"{place}. {word}" for place, word in enumerate(listed, 1))

    return write, tuple(drawn[:10])


def _frequent_words(draw: random.Random, materials: Materials, number: int, length: int) -> Made:
    size = max(8, length // 50)
    coded = _different(lambda: "".join(draw.choices(string.ascii_lowercase, k=6)), size)
    coded[0] = "..."  # the most frequent one is noise
    seed = draw.getrandbits(64)

    def write(words: int) -> str:
        # Zipf's law with the exponent 2: the share of the k-th word is k**-2 / zeta(2).
        listed = [word for rank, word in enumerate(coded, 1) for _ in range(int(words * 6 / (math.pi * rank) ** 2))]
        random.Random(seed).shuffle(listed)
        return FREQUENT.format(context=" ".join(listed))

    return Made(write, FREQUENT_ARE, tuple(coded[1:4]), least=30)


def _question(draw: random.Random, materials: Materials, number: int, length: int) -> Made:
    asked = materials.questions[number % len(materials.questions)]
    near = draw.sample(asked.near, len(asked.near))
    known = {*asked.own, *asked.near}
    far = [place for place in range(len(materials.documents)) if place not in known]
    order = [*asked.own, *near, *draw.sample(far, len(far))]
    seed = draw.getrandbits(64)

    def write(documents: int) -> str:
        shown = [materials.documents[place] for place in order[:documents]]
        random.Random(seed).shuffle(shown)
        context = "\n\n".join(f"Document {place}:\n{text}" for place, text in enumerate(shown, 1))
        return DOCUMENTS.format(context=context, query=asked.text)

    return Made(write, "Answer:", asked.answers, least=len(asked.own), most=len(order))


def _different(drawn: Callable[[], str], count: int) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        found[drawn()] = None
    return list(found)


def _drawn(draw: random.Random, kind: str) -> str:
    if kind == "numbers":
        return str(draw.randint(10**6, 10**7 - 1))
    if kind == "uuids":
        return str(uuid.UUID(int=draw.getrandbits(128), version=4))
    nouns, adjectives, _ = _vocabulary()
    return f"{draw.choice(adjectives)}-{draw.choice(nouns)}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])}, and {names[-1]}"


@lru_cache(maxsize=1)
def _vocabulary() -> tuple[list[str], list[str], list[str]]:
    """Nouns, adjectives and verbs, as the repository takes them from the package wonderwords."""
    try:
        import wonderwords
    except ImportError as error:
        raise MissingExtra("RULER", error.name or "wonderwords", "ruler") from error
    words = wonderwords.RandomWord()
    nouns, adjectives, verbs = (
        sorted(set(words.filter(include_parts_of_speech=[part]))) for part in ("nouns", "adjectives", "verbs")
    )
    return nouns, adjectives, verbs


@lru_cache(maxsize=1)
def every_word() -> tuple[str, ...]:
    """All words that lists of words are drawn from."""
    return tuple(sorted({word for part in _vocabulary() for word in part}))


ESSAY, SQUAD, HOTPOT = frozenset(("essay",)), frozenset(("squad",)), frozenset(("hotpot",))
DEFINITIONS = {
    one.name: one
    for one in (
        Definition("niah_single_1", "retrieval", 128, _niah("noise", "words", "numbers"), "a number in repeated noise"),
        Definition("niah_single_2", "retrieval", 128, _niah("essay", "words", "numbers"), "a number in prose", ESSAY),
        Definition("niah_single_3", "retrieval", 128, _niah("essay", "words", "uuids"), "a UUID in prose", ESSAY),
        Definition(
            "niah_multikey_1", "retrieval", 128, _niah("essay", "words", "numbers", n_keys=4),
            "a number among three others in prose", ESSAY,
        ),
        Definition(
            "niah_multikey_2", "retrieval", 128, _niah("needles", "words", "numbers"), "a number among only others"
        ),
        Definition(
            "niah_multikey_3", "retrieval", 128, _niah("needles", "uuids", "uuids"), "a UUID among only others"
        ),
        Definition(
            "niah_multivalue", "retrieval", 128, _niah("essay", "words", "numbers", n_values=4),
            "four numbers of one key in prose", ESSAY,
        ),
        Definition(
            "niah_multiquery", "retrieval", 128, _niah("essay", "words", "numbers", n_queries=4),
            "the numbers of four keys in prose", ESSAY,
        ),
        Definition("vt", "tracing", 30, _tracking, "five variables of one value, through four assignments"),
        Definition("cwe", "aggregation", 120, _common_words, "the ten words that come up most often"),
        Definition("fwe", "aggregation", 50, _frequent_words, "the three most frequent of Zipf-distributed words"),
        Definition("qa_1", "questions", 32, _question, "questions over SQuAD's paragraphs", SQUAD, any_answer=True),
        Definition("qa_2", "questions", 32, _question, "questions over HotpotQA's paragraphs", HOTPOT, any_answer=True),
    )
}  # fmt: skip
