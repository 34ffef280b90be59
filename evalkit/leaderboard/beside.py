"""Published numbers beside measured ones: of the same task, metric and shots, marked with their source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.leaderboard.entry import Entry, from_run
from evalkit.leaderboard.published import shipped
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
    files = sorted((share("leaderboards") / "published").glob("*.csv"))
    known = [entry for path in files for entry in shipped(path.stem)]
    columns: dict[tuple[str, str, int | None], None] = {}
    for _, entry in measured:
        for task, result in entry.results.items():
            for key in result.metrics if not result.sample else ():
                if any(_value(one, task, key, result.num_fewshot) for one in known):
                    columns[task, key, result.num_fewshot] = None
    if not columns:
        return None

    def line(name: str, entry: Entry) -> Line:
        return Line(name, entry.source, tuple(_value(entry, *column) or numbers.MISSING for column in columns))

    lines = [line(name, entry) for name, entry in measured]
    lines += [one for entry in known if set((one := line(entry.model.name, entry)).texts) != {numbers.MISSING}]
    heads = tuple(
        (task, key.removesuffix(",none"), "" if shots is None else f"{shots}-shot") for task, key, shots in columns
    )
    return Beside(heads, tuple(lines))


def _value(entry: Entry, task: str, key: str, shots: int | None) -> str | None:
    """The value as text; published numbers of unknown shots are left out."""
    result = entry.results.get(task)
    if result is None or result.num_fewshot != shots or result.sample:
        return None
    score = result.metrics.get(key)
    return None if score is None or score.value is None else numbers.score(score.value, score.proportion)


SECTION = Section(
    title="Beside published numbers",
    note="the same task, metric and shots, reported elsewhere",
    build=lambda source: published_beside(source.runs),
    html=share("reports") / "sections" / "beside.html.j2",
    markdown=share("reports") / "sections" / "beside.md.j2",
    order=210,
    block=True,
)
