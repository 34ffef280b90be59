"""A board's plots, drawn as a report's: score against size, and scores over time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise

from evalkit.leaderboard.chosen_plots import chosen_plots
from evalkit.leaderboard.rows import score_title
from evalkit.leaderboard.table import Row, Table
from evalkit.render.figures import COLOURS, Axis, Mark, Scale, Scatter, Segment, Tick, scale

MARKS = {"full": ("●", False), "limited": ("●", True), "sample": ("●", True), "published": ("◆", True)}
"""Symbol, and whether it is open."""
MOST_WHISKERS = 60
MOST_DATES = 6


def plots(table: Table) -> list[Scatter]:
    """The plots that have two points or more."""
    asked = {plot.x for plot in table.board.plots}
    made: list[Scatter | None] = [*chosen_plots(table)]
    made += [] if "parameters" in asked else [_size(table)]
    made += [] if "date" in asked else [_trend(table)]
    return [figure for figure in made if figure is not None]


def _unit(table: Table) -> str:
    if table.board.score == "column":
        return table.board.columns[0].title
    return "mean win rate, %" if table.board.score == "win_rate" else "average"


def _up(rows: Sequence[Row]) -> Scale:
    scores = [row.score for row in rows if row.score is not None]
    ends = [*scores, *(end for row in rows for end in row.interval or ())]
    return scale(ends, 0.0 if min(scores) >= 0 else None)


def _mark(row: Row, x: float, up: Scale, tone: int, whisker: bool, decimals: int) -> Mark:
    score = row.score or 0.0
    ends = row.interval if whisker else None
    symbol, hollow = MARKS[row.status]
    return Mark(
        x,
        round(100 - up.at(score), 2),
        f"{row.entry.model.name}: {score:.{decimals}f}"
        + (f" [{ends[0]:.{decimals}f}, {ends[1]:.{decimals}f}]" if ends else ""),
        tone=tone % COLOURS,
        symbol=symbol,
        open=hollow,
        low=None if ends is None else round(100 - up.at(ends[0]), 2),
        high=None if ends is None else round(100 - up.at(ends[1]), 2),
    )


def _size(table: Table) -> Scatter | None:
    points = [row for row in table.rows if row.score is not None and row.entry.model.parameters]
    if len(points) < 2 or len({row.entry.model.parameters for row in points}) < 2:
        return None
    kinds = sorted({row.entry.model.type for row in points})
    across = scale([(row.entry.model.parameters or 0) / 1e9 for row in points], log=True)
    up = _up(points)
    whiskers = len(points) <= MOST_WHISKERS
    return Scatter(
        title=f"{score_title(table.board)} against size",
        note="Each mark is a row of the table, with its 95 % interval; open marks are limited runs or samples, "
        "diamonds published numbers.",
        x=Axis("parameters, billions", across.ticks(8)),
        y=Axis(_unit(table), up.ticks()),
        marks=tuple(
            _mark(
                row,
                across.at((row.entry.model.parameters or 0) / 1e9),
                up,
                kinds.index(row.entry.model.type),
                whiskers,
                table.decimals,
            )
            for row in points
        ),
        legend=tuple((number, kind) for number, kind in enumerate(kinds)),
        height=360,
    )


def _trend(table: Table) -> Scatter | None:
    """Measured rows by date, with the best score so far."""
    dated = [
        (day, row)
        for row in table.rows
        if row.score is not None and row.status != "published" and (day := _day(row.entry.date)) is not None
    ]
    if len({day for day, _ in dated}) < 2 or table.board.score == "column":
        return None
    dated.sort(key=lambda one: one[0])
    across, up = scale([day for day, _ in dated]), _up([row for _, row in dated])
    best: list[tuple[float, float]] = []
    better = min if table.falling else max
    top = dated[0][1].score or 0.0
    for day, row in dated:
        top = better(top, row.score or 0.0)
        best.append((across.at(day), 100 - up.at(top)))
    steps = [
        Segment(*ends)
        for (x1, y1), (x2, y2) in pairwise(best)
        for ends in ((x1, y1, x2, y1), (x2, y1, x2, y2))
        if ends[:2] != ends[2:]
    ]
    days = sorted({day for day, _ in dated})
    shown = days if len(days) <= MOST_DATES else [days[0], days[len(days) // 2], days[-1]]
    return Scatter(
        title="Over time",
        note="When each row's newest run was made; the dotted line is the best score so far.",
        x=Axis("", tuple(Tick(across.at(day), date.fromordinal(day).isoformat()) for day in shown)),
        y=Axis(_unit(table), up.ticks()),
        marks=tuple(
            _mark(row, across.at(day), up, 0, len(dated) <= MOST_WHISKERS, table.decimals) for day, row in dated
        ),
        segments=tuple(steps),
        legend=((None, "best so far"),),
        height=360,
    )


def _day(stamp: str) -> int | None:
    try:
        return date.fromisoformat(stamp[:10]).toordinal()
    except ValueError:
        return None
