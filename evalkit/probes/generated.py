"""Probes whose documents are generated from a seed (data sets "evalkit/NAME"), and their names, NAME:seed=7:n=200."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from evalkit.probes import options, prose
from evalkit.probes.facts import CAPITALS, WORKS, Capital
from evalkit.store import paths
from evalkit.task import sample
from evalkit.task.definition import Defined, load_task

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog

Row = dict[str, Any]
READERS: options.Readers = {"seed": options.whole(0), "n": options.whole(2, 100_000)}
DEFAULT = {"seed": 1, "n": 200}
_OWN = "as the task of that name, from another seed and with another number of documents"
FORMS = {
    f"{name}:seed=7:n=200": _OWN
    for name in ("fabricated_entities", "false_premise", "nq_swap", "persistence", "reversal", "stuffing")
}


def family(name: str, catalog: Catalog) -> Defined:
    """The probe ``name`` with a seed and a number of documents of its own."""
    asked = options.parse(name, READERS)
    prefix = name.partition(":")[0]
    template = load_task(paths.share("tasks") / prefix / "task.yaml")
    one = template.tasks[0]
    config = ":".join(f"{key}={value}" for key, value in sorted(asked.items()))
    dataset = one.dataset.model_copy(update={"config": config})
    return Defined(
        template.source, (one.model_copy(update={"name": name, "dataset": dataset}),), (), template.description
    )


def _rows(make: Callable[[random.Random], Iterator[Row]], name: str) -> Callable[[str | None], list[Row]]:
    """A generator as the entry point wants it: rows of a config, each one once."""

    def rows(config: str | None) -> list[Row]:
        asked = {**DEFAULT, **options.parse(f"{name}:{config}" if config else name, READERS)}
        return list(islice(make(random.Random(f"{name}/{asked['seed']}")), asked["n"]))

    return rows


def _elsewhere(draw: random.Random, one: Capital) -> Capital:
    return draw.choice([other for other in CAPITALS if other.continent != one.continent])


def _false_premises(draw: random.Random) -> Iterator[Row]:
    """Every other question rests on a false premise; its neighbour is of the same form and sound."""
    while True:
        one = draw.choice(CAPITALS)
        other = _elsewhere(draw, one)
        work, stranger = draw.sample(WORKS, 2)
        year = draw.randint(1990, 2015)
        for sound in (False, True):
            city = one.city if sound else other.city
            yield {
                "question": f"{city} is the capital of {one.country}. "
                f"On which continent does the capital of {one.country} lie?",
                "sound": sound,
                "premise": f"{city} is the capital of {one.country}",
                "truth": [] if sound else [one.city],
                "answers": [one.continent],
            }
        for sound in (False, True):
            maker = work.maker if sound else stranger.maker
            yield {
                "question": f"The {year} exhibition showed the manuscript of {work.title} by {maker}. "
                f"What is the surname of the person who wrote {work.title}?",
                "sound": sound,
                "premise": f"{maker} wrote {work.title}",
                "truth": [] if sound else [work.surname],
                "answers": [work.surname],
            }


_ENTITY_QUESTIONS = (
    ("the capital of {}", "What is the capital of the country {}?"),
    ("the writer of {}", "Who wrote the novel {}?"),
    ("the river through {}", "Which river runs through the city of {}?"),
    ("the discoverer of {}", "In which year was the chemical element {} discovered?"),
    ("the king of {}", "Who was the first king of {}?"),
)


def _fabricated(draw: random.Random) -> Iterator[Row]:
    """Three questions on invented names, then one on a real one: a model that never answers is told from a careful
    one.
    """
    while True:
        for about, question in draw.sample(_ENTITY_QUESTIONS, 3):
            name = prose.invented(draw, 3)
            yield {
                "question": question.format(name),
                "entity": name,
                "about": about.format(name),
                "real": False,
                "answers": [],
            }
        if draw.random() < 0.5:
            real = draw.choice(CAPITALS)
            asked, answer, entity = f"What is the capital of the country {real.country}?", real.city, real.country
        else:
            work = draw.choice(WORKS)
            asked, answer, entity = f"Who wrote {work.kind} {work.title}?", work.surname, work.title
        yield {"question": asked, "entity": entity, "about": asked, "real": True, "answers": [answer]}


def _swapped(draw: random.Random) -> Iterator[Row]:
    """A passage that says otherwise than what everybody knows; the question is about the passage."""
    while True:
        one, other = draw.sample(CAPITALS, 2)
        name = prose.invented(draw, 2)
        yield {
            "context": f"{prose.passage(draw.randint(0, 10**9), 2)} In the year of which this is told, the capital of "
            f"{one.country} is {other.city}. The envoy {name} travels there to see the parliament.",
            "question": f"What is the capital of {one.country} according to the text?",
            "answers": [other.city],
            "original": [one.city],
        }
        work, stranger = draw.sample(WORKS, 2)
        yield {
            "context": f"{prose.passage(draw.randint(0, 10**9), 2)} In the library of {name}, the catalogue gives "
            f"{stranger.maker} as the author of {work.title}.",
            "question": f"Who is the author of {work.title} according to the text?",
            "answers": [stranger.surname],
            "original": [work.surname],
        }


def _reversal(draw: random.Random) -> Iterator[Row]:
    """Each fact in both directions, with the same wrong choices' worth of chance."""
    while True:
        if draw.random() < 0.5:
            some = draw.sample(CAPITALS, 4)
            ask = (
                ("forward", f"The capital of {some[0].country} is", [one.city for one in some]),
                ("reverse", f"{some[0].city} is the capital of", [one.country for one in some]),
            )
        else:
            works = draw.sample(WORKS, 4)
            ask = (
                ("forward", f"The author of {works[0].title} is", [one.maker for one in works]),
                ("reverse", f"{works[0].maker} is the author of", [one.title for one in works]),
            )
        for direction, prompt, choices in ask:
            order = draw.sample(range(4), 4)
            yield {
                "prompt": prompt,
                "choices": [choices[place] for place in order],
                "gold": order.index(0),
                "direction": direction,
                "fact": f"{ask[0][1]} {ask[0][2][0]}",
            }


TURNS = (1, 2, 4, 8)


def _persistence(draw: random.Random) -> Iterator[Row]:
    """An instruction at the beginning, obeyed in the turns that follow; asked for again after 1, 2, 4 and 8 of them."""
    while True:
        token = prose.invented(draw, 2).lower()
        facts = draw.sample(CAPITALS, max(TURNS) + 1)
        for turns in TURNS:
            yield {
                "token": token,
                "turns": turns,
                "history": [
                    {"question": f"What is the capital of {one.country}?", "answer": f"{one.city}. {token}"}
                    for one in facts[1:turns]
                ],
                "question": f"What is the capital of {facts[0].country}?",
                "answers": [facts[0].city],
            }


LOADS = (0, 2, 8, 16)


def _stuffing(draw: random.Random) -> Iterator[Row]:
    """One passage that holds the answer among 0, 2, 8 and 16 that do not; the same question each time."""
    while True:
        place, town = prose.invented_names(draw, 2)
        number = draw.randint(1100, 1900)
        relevant = f"The bridge of {place} was built in the year {number} by masons from {town}."
        others = [prose.passage(draw.randint(0, 10**9), 4) for _ in range(max(LOADS))]
        for load in LOADS:
            passages = others[:load]
            passages.insert(draw.randint(0, load), relevant)
            yield {
                "passages": passages,
                "load": load,
                "question": f"In which year was the bridge of {place} built?",
                "answers": [str(number)],
            }


MAKERS: Mapping[str, Callable[[random.Random], Iterator[Row]]] = {
    "false_premise": _false_premises,
    "fabricated_entities": _fabricated,
    "nq_swap": _swapped,
    "reversal": _reversal,
    "persistence": _persistence,
    "stuffing": _stuffing,
}
false_premise = _rows(_false_premises, "false_premise")
fabricated_entities = _rows(_fabricated, "fabricated_entities")
nq_swap = _rows(_swapped, "nq_swap")
reversal = _rows(_reversal, "reversal")
persistence = _rows(_persistence, "persistence")
stuffing = _rows(_stuffing, "stuffing")


def _bundled(name: str) -> Callable[[str | None], list[Row]]:
    """Items of our own that are all there are: the full set is the bundled one."""

    def rows(config: str | None) -> list[Row]:

        return [dict(row) for row in sample.lines(paths.share("tasks") / name / "sample.jsonl")]

    return rows


memotrap = _bundled("memotrap")
selfcheck = _bundled("selfcheck")
faithfulness = _bundled("summary_faithfulness")
