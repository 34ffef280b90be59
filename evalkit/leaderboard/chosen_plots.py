"""The plots that a board's file asks for: one quantity against another, with a Pareto front, lines or a scaling law.

x is a column's title, or parameters (billions), step or tokens (of training, billions, read from the revision's name),
or date; y a column's title or score. Over training and over days the points of one model are joined.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Literal

from evalkit.contract.errors import UserError
from evalkit.leaderboard.board import Board, Plot
from evalkit.leaderboard.table import Cell, Row, Table
from evalkit.render.figures import COLOURS, Axis, Mark, Scale, Scatter, Segment, Tick, scale
from evalkit.statistics.scaling import ScalingLaw, scaling_law

PYTHIA_BATCH = 2_097_152
"""Tokens of one of Pythia's training steps (Biderman et al. 2023, arXiv 2304.01373: 1,024 sequences of 2,048)."""
MOST_DATES = 6
CURVE = 40
_STEP = re.compile(r"(?:^|[-_])step(\d+)", re.IGNORECASE)
_TOKENS = re.compile(r"tokens(\d+(?:\.\d+)?)([BMT])\b", re.IGNORECASE)
_TIMES = {"M": 1e6, "B": 1e9, "T": 1e12}
TITLES = {
    "parameters": "parameters, billions",
    "step": "training step",
    "tokens": "training tokens, billions",
    "date": "",
}


@dataclass(frozen=True, slots=True)
class Point:
    """A mark's values: ``line`` joins points of one name; ``low`` and ``high`` are the ends of y's interval."""

    x: float
    y: float
    name: str
    line: str
    status: str
    low: float | None = None
    high: float | None = None


def training(revision: str, name: str = "") -> tuple[int | None, float | None]:
    """(step, tokens) that a checkpoint's revision names: "step1000" (Pythia, whose steps have 2,097,152 tokens),
    "step1000-tokens4B" and "stage1-step1000-tokens4B" (OLMo). None where it names none.
    """
    step = _STEP.search(revision)
    number = int(step[1]) if step else None
    tokens = _TOKENS.search(revision)
    if tokens:
        return number, float(tokens[1]) * _TIMES[tokens[2].upper()]
    pythia = number is not None and "pythia" in name.lower()
    return number, float(number * PYTHIA_BATCH) if pythia and number is not None else None


def chosen_plots(table: Table) -> list[Scatter]:
    """The board's plots that have two points or more. UserError for a plot of a column that the board has not."""
    found = [_figure(table, plot) for plot in table.board.plots]
    return [figure for figure in found if figure is not None]


def _figure(table: Table, plot: Plot) -> Scatter | None:
    points = _points(table, plot)
    if len(points) < 2 or len({point.x for point in points}) < 2:
        return None
    points.sort(key=lambda point: (point.line, point.x))
    log = plot.log and all(point.x > 0 for point in points)
    across = scale([point.x for point in points], log=log)
    ends = [end for point in points for end in (point.y, point.low, point.high) if end is not None]
    up = scale(ends, 0.0 if min(ends) >= 0 else None)
    lines = list(dict.fromkeys(point.line for point in points))
    segments, legend = _joined(points, plot, across, up, lines)
    notes = ["lines through the marks are 95 % intervals"] if any(point.low is not None for point in points) else []
    if plot.front:
        segments += _front(table, plot, points, across, up)
        legend.append((None, "Pareto front"))
        notes.append("on the front, no other is better at both")
    if plot.fit:
        curve, told = _law(table, plot, points, across, up)
        segments += curve
        notes.append(told)
        legend += [(None, "scaling law")] if curve else []
    return Scatter(
        title=plot.title or f"{_called(table, plot.y)} against {_called(table, plot.x)}",
        note=_sentence(notes),
        x=Axis(_across(points, plot) or _called(table, plot.x), _ticks(points, plot, across)),
        y=Axis(_called(table, plot.y), up.ticks()),
        marks=tuple(_mark(point, across, up, lines.index(point.line)) for point in points),
        segments=tuple(segments),
        legend=tuple(legend),
        height=380,
    )


def _sentence(parts: Sequence[str]) -> str:
    text = "; ".join(part for part in parts if part)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


# -- where points come from -------------------------------------------------------------------------------------------


def _points(table: Table, plot: Plot) -> list[Point]:
    found = []
    for row in _last(table) if plot.x == "parameters" else table.rows:
        if plot.x == "date":
            found += [point for number in row.history if (point := _dated(table, plot, row, number)) is not None]
            continue
        x, y = _x(table, plot.x, row), _y(table, plot.y, row)
        if x is not None and y is not None:
            value, half = y
            model = row.entry.model
            called = f"{model.name}, {model.revision}" if model.revision else _name(table, row)
            joined = model.name if plot.x in ("step", "tokens") else row.key
            low, high = (None, None) if half is None else (value - half, value + half)
            found.append(Point(x, value, called, joined, row.status, low, high))
    return found


def _last(table: Table) -> list[Row]:
    """Rows without those of a model that a later checkpoint of its training is there for."""
    newest: dict[str, int] = {}
    for row in table.rows:
        step = training(row.entry.model.revision)[0]
        if step is not None:
            newest[row.entry.model.name] = max(step, newest.get(row.entry.model.name, 0))
    return [
        row
        for row in table.rows
        if (step := training(row.entry.model.revision)[0]) is None or step == newest[row.entry.model.name]
    ]


def _name(table: Table, row: Row) -> str:
    """A model's name, with its backend where another row has the same name."""
    model = row.entry.model
    alike = sum(other.entry.model.name == model.name for other in table.rows) > 1
    return f"{model.name} ({model.backend})" if alike and model.backend else model.name


def _dated(table: Table, plot: Plot, row: Row, number: int) -> Point | None:
    entry = table.found[number].entry
    cells = table.by_entry.get(number)
    try:
        day = date.fromisoformat(entry.date[:10]).toordinal()
    except ValueError:
        return None
    if cells is None or plot.y == "score" or row.status == "published":
        return None
    cell = cells[_place(table.board, plot.y)]
    if cell is None:
        return None
    half = _half(cell)
    low, high = (None, None) if half is None else (cell.shown - half, cell.shown + half)
    return Point(float(day), cell.shown, f"{_name(table, row)}, {entry.date[:10]}", row.key, row.status, low, high)


def _x(table: Table, name: str, row: Row) -> float | None:
    entry = row.entry
    if name == "parameters":
        return None if entry.model.parameters is None else entry.model.parameters / 1e9
    if name in ("step", "tokens"):
        step, tokens = training(entry.model.revision, entry.model.name)
        value = step if name == "step" else None if tokens is None else tokens / 1e9
        return None if value is None else float(value)
    cell = row.cells[_place(table.board, name)]
    return None if cell is None else cell.shown


def _y(table: Table, name: str, row: Row) -> tuple[float, float | None] | None:
    if name == "score":
        return None if row.score is None else (row.score, 1.96 * row.error if row.error else None)
    cell = row.cells[_place(table.board, name)]
    return None if cell is None else (cell.shown, _half(cell))


def _half(cell: Cell) -> float | None:
    return 1.96 * cell.error if cell.error else None


def _place(board: Board, title: str) -> int:
    for place, column in enumerate(board.columns):
        if column.title == title:
            return place
    raise UserError(f"board {board.name}: a plot asks for {title!r}, and there is no column of that title")


def _cell(table: Table, title: str) -> Cell | None:
    place = _place(table.board, title)
    return next((row.cells[place] for row in table.rows if row.cells[place]), None)


def _called(table: Table, name: str) -> str:
    if name in TITLES:
        return {"date": "day"}.get(name, TITLES[name].partition(",")[0])
    if name == "score":
        return "score"
    column = table.board.columns[_place(table.board, name)]
    cell = _cell(table, name)
    unit = column.unit or (cell.unit if cell else "")
    return f"{name}, {unit}" if unit else name


def _rising(table: Table, name: str) -> bool:
    if name == "score":
        return not table.falling
    cell = _cell(table, name) if name not in TITLES else None
    return cell.higher_is_better if cell else name != "parameters"


# -- what is drawn ----------------------------------------------------------------------------------------------------


def _mark(point: Point, across: Scale, up: Scale, line: int) -> Mark:
    return Mark(
        across.at(point.x),
        round(100 - up.at(point.y), 2),
        f"{point.name}: {point.x:.4g}, {point.y:.4g}",
        tone=line % COLOURS,
        symbol="◆" if point.status == "published" else "●",
        open=point.status != "full",
        low=None if point.low is None else round(100 - up.at(point.low), 2),
        high=None if point.high is None else round(100 - up.at(point.high), 2),
    )


def _ticks(points: Sequence[Point], plot: Plot, across: Scale) -> tuple[Tick, ...]:
    if plot.x != "date":
        return across.ticks(8)
    days = sorted({int(point.x) for point in points})
    shown = days if len(days) <= MOST_DATES else [days[0], days[len(days) // 2], days[-1]]
    one_year = len({date.fromordinal(day).year for day in days}) == 1
    return tuple(Tick(across.at(day), date.fromordinal(day).isoformat()[5 if one_year else 0 :]) for day in shown)


def _across(points: Sequence[Point], plot: Plot) -> str:
    """The title of the x axis; over days the year, where it is one. "" for a column."""
    if plot.x == "date":
        years = sorted({date.fromordinal(int(point.x)).year for point in points})
        return f"day of {years[0]}" if len(years) == 1 else "day"
    return TITLES.get(plot.x, "")


def _joined(
    points: Sequence[Point], plot: Plot, across: Scale, up: Scale, lines: Sequence[str]
) -> tuple[list[Segment], list[tuple[int | None, str]]]:
    """Lines over training and over days, with their names; elsewhere none."""
    if plot.x not in ("step", "tokens", "date"):
        return [], []
    by_line: dict[str, list[Point]] = {}
    for point in points:
        by_line.setdefault(point.line, []).append(point)
    segments = [
        Segment(across.at(a.x), 100 - up.at(a.y), across.at(b.x), 100 - up.at(b.y), lines.index(name) % COLOURS)
        for name, own in by_line.items()
        for a, b in pairwise(own)
    ]
    legend: list[tuple[int | None, str]] = [
        (lines.index(name) % COLOURS, own[0].name.partition(",")[0]) for name, own in list(by_line.items())[:COLOURS]
    ]
    return segments, legend


def _front(table: Table, plot: Plot, points: Sequence[Point], across: Scale, up: Scale) -> list[Segment]:
    """Steps between the points that no other beats at both."""
    signs = [1 if _rising(table, name) else -1 for name in (plot.x, plot.y)]

    def beats(a: Point, b: Point) -> bool:
        gains = (signs[0] * (a.x - b.x), signs[1] * (a.y - b.y))
        return min(gains) >= 0 and max(gains) > 0

    best = sorted({(p.x, p.y) for p in points if not any(beats(other, p) for other in points)})
    found = []
    for (x1, y1), (x2, y2) in pairwise(best):
        # Between two of its points the front is as good as the worse of them at least.
        corner = (x1, y2) if signs[0] > 0 else (x2, y1)
        for a, b in (((x1, y1), corner), (corner, (x2, y2))):
            found.append(Segment(across.at(a[0]), 100 - up.at(a[1]), across.at(b[0]), 100 - up.at(b[1])))
    return found


def _law(table: Table, plot: Plot, points: Sequence[Point], across: Scale, up: Scale) -> tuple[list[Segment], str]:
    """The law of what falls: of shares the error, 100 less the value; of losses the value itself."""
    turned = _rising(table, plot.y)
    kind: Literal["floor", "plain"] = plot.fit or "plain"
    values = [100 - point.y if turned else point.y for point in points]
    try:
        law = scaling_law([point.x for point in points], values, floor=kind == "floor")
    except UserError as error:
        return [], f"no law is fitted ({error})"
    ratio = (across.high / across.low) ** (1 / CURVE) if across.log else 0.0
    step = (across.high - across.low) / CURVE
    steps = [across.low * ratio**n if across.log else max(across.low + n * step, 1e-12) for n in range(CURVE + 1)]
    inside = [x for x in steps if min(p.x for p in points) <= x <= max(p.x for p in points)]
    drawn = [(across.at(x), 100 - up.at(100 - law.at(x) if turned else law.at(x))) for x in inside]
    return [Segment(*a, *b) for a, b in pairwise(drawn)], _told(law, "error" if turned else _called(table, plot.y))


def _told(law: ScalingLaw, what: str) -> str:
    start = "" if law.floor == 0 else f"{law.floor:.3g} + "
    interval = law.exponent_interval
    span = "not known" if interval is None else f"{interval[0]:.3g} to {interval[1]:.3g}"
    formula = f"{what} = {start}{law.factor:.3g} x^-{law.exponent:.3g}"
    return f"fit of {law.n} points: {formula} (the exponent's 95 % interval: {span})"
