"""Published numbers beside measured ones: of the same task, metric and shots, marked with their source.

Where a published model's other numbers differ in any of these, its cell says in what.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.leaderboard.agreement import Reference, difference
from evalkit.leaderboard.entry import Entry, from_run
from evalkit.leaderboard.published import names, shipped
from evalkit.render.sections import Section
from evalkit.render.view import Run
from evalkit.store.paths import share
from evalkit.text import numbers


@dataclass(frozen=True, slots=True)
class Line:
    """One model; ``source`` is empty for a measured one. ``texts`` stand in the order of the columns."""

    name: str
    source: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Beside:
    """Columns (task, metric, shots) that both a run and a publication have, and their rows."""

    columns: tuple[tuple[str, str, str], ...]
    lines: tuple[Line, ...]


def published_beside(runs: Sequence[Run]) -> Beside | None:
    """The table, or None where nothing published fits. Bundled items are never set beside published numbers."""
    measured = [(run.label, from_run(run.result)) for run in runs]
    known = [entry for name in names() for entry in shipped(name)]
    columns: dict[tuple[str, str, int | None], None] = {}
    for _, entry in measured:
        for task, result in entry.results.items():
            for key in result.metrics if not result.sample else ():
                if any(_value(one, task, key, result.num_fewshot) for one in known):
                    columns[task, key, result.num_fewshot] = None
    if not columns:
        return None

    lines = [
        Line(name, "", tuple(_value(entry, *column) or numbers.MISSING for column in columns))
        for name, entry in measured
    ]
    for entry in known:
        values = [_value(entry, *column) for column in columns]
        if any(values):
            texts = (value or _apart(entry, *column) for value, column in zip(values, columns, strict=True))
            lines.append(Line(entry.model.name, entry.source, tuple(texts)))
    heads = tuple(
        (task, key.removesuffix(",none"), "" if shots is None else f"{shots}-shot") for task, key, shots in columns
    )
    return Beside(heads, tuple(lines))


def _value(entry: Entry, task: str, key: str, shots: int | None) -> str | None:
    """The value as text, where it is of this metric and these shots; a group of several numbers of shots has none."""
    result = entry.results.get(task)
    if result is None or result.sample or shots is None or difference(result, Reference(key, (shots,))):
        return None
    score = result.metrics[key]
    return None if score.value is None else numbers.score(score.value, score.proportion)


def _apart(entry: Entry, task: str, key: str, shots: int | None) -> str:
    result = entry.results.get(task)
    return numbers.MISSING if result is None else difference(result, Reference(key, (shots,))) or numbers.MISSING


SECTION = Section(
    title="Beside published numbers",
    note="the same task, metric and shots, reported elsewhere",
    build=lambda source: published_beside(source.runs),
    html=share("reports") / "sections" / "beside.html.j2",
    markdown=share("reports") / "sections" / "beside.md.j2",
    order=210,
    block=True,
)
