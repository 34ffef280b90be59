"""Heat maps of a group's tasks over runs. What one run has to say of its tasks stands in the tables, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evalkit.render.figures import Figure, Heat, HeatCell
from evalkit.render.view import Row, Run, View

FEWEST = 8
"""Tasks of which a map shows more than the table does."""


def charts(view: View) -> list[Figure]:
    """A map a group of many tasks, where there are runs to set side by side; tasks measured alike share one."""
    if len(view.runs) < 2:
        return []
    return [figure for block in view.blocks for figure in _maps(block.title, block.rows, view.runs)]


def _maps(title: str, rows: Sequence[Row], runs: Sequence[Run]) -> Iterator[Heat]:
    alike: dict[tuple[bool, str, bool], list[Row]] = {}
    for row in rows:
        if row.level == "task" and row.primary:
            alike.setdefault((row.share, row.unit, row.higher_is_better), []).append(row)
    for (share, unit, rising), found in alike.items():
        if len(found) >= FEWEST:
            yield _map(title, found, runs, share, unit, rising)


def _map(title: str, rows: Sequence[Row], runs: Sequence[Run], share: bool, unit: str, rising: bool) -> Heat:
    values = [cell.value for row in rows for cell in row.cells if cell and cell.value is not None]
    # Shares are coloured from 0 to 100 %, so that noise has one shade.
    low, high = (0.0, 1.0) if share else (min(values, default=0.0), max(values, default=1.0))
    measured = "percent" if share else unit or "in the metric's own unit"
    metrics = ", ".join(dict.fromkeys(row.metric for row in rows))
    span = "" if share else f", from {low:.4g} to {high:.4g}"
    return Heat(
        title=f"{title} by task",
        note=f"{metrics}, {measured}; {'higher' if rising else 'lower'} is better. Deeper colours are higher "
        f"values{span}; the table under Tasks has the intervals.",
        corner="Task",
        across="Run",
        columns=tuple(run.label for run in runs),
        rows=tuple(
            (
                row.name,
                tuple(
                    HeatCell(cell.text, round(100 * (cell.value - low) / ((high - low) or 1.0), 1))
                    if cell and cell.value is not None
                    else None
                    for cell in row.cells
                ),
            )
            for row in rows
        ),
    )
