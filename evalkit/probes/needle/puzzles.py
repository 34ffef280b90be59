"""What is hidden in a haystack and what is asked about it.

Kinds, after RULER (Hsieh et al. 2024, arXiv 2404.06654) and passkey retrieval (Mohtashami and Jaggi 2023, arXiv
2305.16300); names, places and numbers are invented from a seed.

    single       one sentence with two facts, asked about one at a time
    multi        several sentences about several vaults, all of which are asked for
    distractors  one sentence that is asked about among others of the same form
    two_fact     the answer follows from two sentences that lie apart
    variables    a chain of assignments, one out of two; all names that hold a value
    words        which words of a long list come up most often
    passkey      a number in a text that says the same over and over
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle

from evalkit.probes import prose
from evalkit.probes.needle import languages

_COLOURS = ("amber", "crimson", "indigo", "silver", "turquoise", "violet", "scarlet", "ivory")
_MONOTONE = (
    "The field is wide.", "The sky is grey.", "The path goes on.", "Walk there and walk back.", "The wind is calm.",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Insert:
    """A sentence in the haystack. ``at``: 0 lies at the grid's depth, 1 at the end, in between by proportion;
    with ``wrap`` it goes on from the beginning after the end (distractors lie all over the text).
    """

    text: str
    at: float = 0.0
    wrap: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """``answers`` must all be in the reply, in any order. ``lead`` begins the reply where the prefix is asked for."""

    text: str
    answers: tuple[str, ...]
    lead: str


@dataclass(frozen=True, slots=True)
class Puzzle:
    """Everything of one haystack but its filling. ``words`` names a filling of its own."""

    inserts: tuple[Insert, ...]
    questions: tuple[Question, ...]
    task: str = "Read the text and answer the question about it."
    labels: tuple[str, str, str] = ("Question", "Answer", "Begin your answer with these words")
    """What stands before the question, before the answer, and before the beginning that is asked for."""


def single(draw: random.Random, count: int) -> Puzzle:
    (place,) = prose.invented_names(draw, 1)
    number, colour = _number(draw), draw.choice(_COLOURS)
    needle = f"The {place} vault opens with the number {number} and its door is {colour}."
    return Puzzle(
        (Insert(needle),),
        (
            Question(
                f"With what number does the {place} vault open?", (number,), f"The {place} vault opens with the number"
            ),
            Question(f"What colour is the door of the {place} vault?", (colour,), f"The door of the {place} vault is"),
        ),
    )


def single_in(language: str, draw: random.Random) -> Puzzle:
    """`single` in another language."""
    words = languages.LANGUAGES[language]
    (place,) = prose.invented_names(draw, 1)
    number, colour = _number(draw), draw.choice(words.colours)
    needle = words.needle.format(place=place, number=number, colour=colour)
    questions = tuple(
        Question(asked.format(place=place), (answer,), lead.format(place=place))
        for (asked, lead), answer in ((words.number, number), (words.colour, colour))
    )
    return Puzzle((Insert(needle),), questions, words.task, (words.question, words.answer, words.begin))


def multi(draw: random.Random, count: int) -> Puzzle:
    places = prose.invented_names(draw, count)
    numbers = _numbers(draw, count)
    inserts = tuple(
        Insert(f"The {place} vault opens with the number {number}.", index / count)
        for index, (place, number) in enumerate(zip(places, numbers, strict=True))
    )
    listed = ", ".join(places[:-1]) + f" and {places[-1]}" if count > 1 else places[0]
    asked = f"With what numbers do the vaults {listed} open? Name all {count} numbers."
    return Puzzle(inserts, (Question(asked, numbers, f"The {count} numbers are"),))


def distractors(draw: random.Random, count: int) -> Puzzle:
    places = prose.invented_names(draw, count + 1)
    numbers = _numbers(draw, count + 1)
    inserts = tuple(
        Insert(f"The {place} vault opens with the number {number}.", index / (count + 1), wrap=True)
        for index, (place, number) in enumerate(zip(places, numbers, strict=True))
    )
    asked = f"With what number does the {places[0]} vault open?"
    return Puzzle(inserts, (Question(asked, (numbers[0],), f"The {places[0]} vault opens with the number"),))


def two_fact(draw: random.Random, count: int) -> Puzzle:
    place, keeper, town, other, elsewhere = prose.invented_names(draw, 5)
    inserts = (
        Insert(f"The keeper of the {place} vault is called {keeper}."),
        Insert(f"{keeper} was born in the town of {town}.", 0.5),
        Insert(f"{other} was born in the town of {elsewhere}.", 0.75),
    )
    asked = f"In which town was the keeper of the {place} vault born?"
    return Puzzle(inserts, (Question(asked, (town,), f"The keeper of the {place} vault was born in the town of"),))


def variables(draw: random.Random, count: int) -> Puzzle:
    names = draw.sample(
        [f"{letter}{digit}" for letter in "ABCDEFGHKLMNPQRSTUVWXYZ" for digit in range(10, 99)], 2 * count
    )
    chain, decoy = names[:count], names[count:]
    value, wrong = _numbers(draw, 2)
    steps = []
    for index in range(count):
        at = index / count
        steps.append(Insert(f"VAR {chain[index]} = {value if index == 0 else 'VAR ' + chain[index - 1]}.", at))
        steps.append(Insert(f"VAR {decoy[index]} = {wrong if index == 0 else 'VAR ' + decoy[index - 1]}.", at))
    asked = f"Which variables hold the value {value}, given at first hand or through others? Name all {count}."
    return Puzzle(
        tuple(steps), (Question(asked, tuple(chain), f"The {count} variables that hold the value {value} are"),)
    )


def words(draw: random.Random, count: int) -> Puzzle:
    listed = prose.vocabulary(0, 400)
    common = tuple(draw.sample(listed, count))
    asked = f"Which {count} words come up most often in the list?"
    question = Question(asked, common, f"The {count} words that come up most often are")
    return Puzzle((), (question,), "Read the list of words and answer the question about it.")


def passkey(draw: random.Random, count: int) -> Puzzle:
    number = _number(draw)
    needle = f"The pass key is {number}. Remember it: {number} is the pass key."
    return Puzzle((Insert(needle),), (Question("What is the pass key?", (number,), "The pass key is"),))


KINDS: Mapping[str, Callable[[random.Random, int], Puzzle]] = {
    "single": single,
    "multi": multi,
    "distractors": distractors,
    "two_fact": two_fact,
    "variables": variables,
    "words": words,
    "passkey": passkey,
}
DEFAULT_COUNT = {"multi": 3, "distractors": 3, "variables": 3, "words": 3}
"""How many needles, distractors, links of the chain, or words; the other kinds have none to count."""


def filling(kind: str, puzzle: Puzzle, seed: int) -> Iterator[str]:
    """The haystack's pieces without end, each followed by a space. The same for all cells of one repetition, so that
    their prompts begin alike up to the needle.
    """
    if kind == "passkey":
        return cycle(_MONOTONE)
    if kind == "words":
        return _list_of_words(puzzle.questions[0].answers, seed)
    return prose.sentences(seed)


def _list_of_words(common: tuple[str, ...], seed: int) -> Iterator[str]:
    """Blocks with every common word once and, beside each, four of the rest: wherever the list is cut, the common ones
    are ahead once it is a few blocks long.
    """
    draw = random.Random(f"list/{seed}")
    rest = [word for word in prose.vocabulary(0, 400) if word not in common]
    while True:
        block = [*common, *draw.sample(rest, 4 * len(common))]
        draw.shuffle(block)
        yield from (f"{word}," for word in block)


def _number(draw: random.Random) -> str:
    return str(draw.randint(10_000, 99_999))


def _numbers(draw: random.Random, count: int) -> tuple[str, ...]:
    return tuple(map(str, draw.sample(range(10_000, 99_999), count)))
