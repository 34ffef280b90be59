"""Probes whose documents are generated from a seed (data sets "evalkit/NAME"), and their names, NAME:seed=7:n=200."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from evalkit.probes import options, prose
from evalkit.probes.facts import CAPITALS, WORKS
from evalkit.store import paths
from evalkit.task import sample
from evalkit.task.definition import Defined, load_task

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog

Row = dict[str, Any]
READERS: options.Readers = {"seed": options.whole(0), "n": options.whole(2, 100_000)}
_OWN = "as the task of that name, from another seed and with another number of documents"
FORMS = {
    f"{name}:seed=7:n=200": _OWN
    for name in ("fabricated_entities", "false_premise", "swapped_facts", "persistence", "reversal", "stuffing")
}
FORMERLY = {"nq_swap": "swapped_facts"}


def family(name: str, catalog: Catalog) -> Defined:
    """The probe ``name`` with a seed and a number of documents of its own."""
    asked = options.parse(name, READERS)
    prefix = name.partition(":")[0]
    template = load_task(paths.share("tasks") / FORMERLY.get(prefix, prefix) / "task.yaml")
    one = template.tasks[0]
    config = ":".join(f"{key}={value}" for key, value in sorted(asked.items()))
    dataset = one.dataset.model_copy(update={"config": config})
    return Defined(
        template.source, (one.model_copy(update={"name": name, "dataset": dataset}),), (), template.description
    )


def rows_of(
    make: Callable[[random.Random], Iterator[Row]], name: str, number: int = 200
) -> Callable[[str | None], list[Row]]:
    """A generator as the entry point wants it: rows of a config, ``number`` unless it says otherwise."""

    def rows(config: str | None) -> list[Row]:
        asked = {"seed": 1, "n": number, **options.parse(f"{name}:{config}" if config else name, READERS)}
        return list(islice(make(random.Random(f"{name}/{asked['seed']}")), asked["n"]))

    return rows


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


reversal = rows_of(_reversal, "reversal")
persistence = rows_of(_persistence, "persistence")
stuffing = rows_of(_stuffing, "stuffing")


def _bundled(name: str) -> Callable[[str | None], list[Row]]:
    """Items of our own that are all there are: the full set is the bundled one."""

    def rows(config: str | None) -> list[Row]:

        return [dict(row) for row in sample.lines(paths.share("tasks") / name / "sample.jsonl")]

    return rows


altered_sayings = _bundled("altered_sayings")
tool_choice = _bundled("tool_choice")
selfcheck_subjects = _bundled("selfcheck_subjects")
faithfulness = _bundled("summary_faithfulness")
