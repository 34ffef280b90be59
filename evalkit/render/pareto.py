"""Quality against speed and against memory: one point a run, and the front of those that none beats at both."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from evalkit.render.figures import COLOURS, SYMBOLS, Axis, Mark, Scatter, Segment, scale
from evalkit.render.view import Row, Run, View
from evalkit.text.numbers import flatten

SPEEDS = (
    "tokens_per_second",
    "tokens_per_s",
    "documents_per_second",
    "documents_per_s",
    "requests_per_second",
    "requests_per_s",
)
Point = tuple[float, float, Run]
"""What it costs or does, its quality in percent, and whose it is."""


def pareto_charts(view: View) -> list[Scatter]:
    """The plots that at least two runs have numbers for."""
    return [figure for figure in (_quality_speed(view), _quality_memory(view)) if figure is not None]


def qualities(view: View) -> list[float | None]:
    """Each run's mean of the tasks' (or groups') primary metrics in percent; None where one of them is missing."""
    rows = _rows(view)
    found: list[float | None] = []
    for run in view.runs:
        values = [cell.value for row in rows if (cell := row.cells[run.number]) and cell.value is not None]
        found.append(100 * sum(values) / len(values) if rows and len(values) == len(rows) else None)
    return found


def _rows(view: View) -> list[Row]:
    return [row for block in view.blocks for row in block.standing if row.share]


def half_width(view: View, run: Run) -> float | None:
    """Half the 95 % interval of a run's quality in percent, its tasks taken as independent; None where one has none."""
    cells = [row.cells[run.number] for row in _rows(view)]
    bounds = [cell.bounds for cell in cells if cell and cell.bounds]
    if not cells or len(bounds) < len(cells):
        return None
    return 100 * math.sqrt(sum(((high - low) / 2) ** 2 for low, high in bounds)) / len(cells)


def memory(run: Run) -> float | None:
    """The largest memory that answering took, in bytes: of its devices where it used any, else of its processes.

    Older runs have but the peak with loading in it. None for a model behind a server, whose memory is not seen from
    here.
    """
    if "server" in str(run.result.model.get("device", "")):
        return None
    held = run.result.counters.get("memory") or {}
    if device := _positive(held.get("device_peak_allocated_bytes")):
        return device
    for name in ("host_answer_peak_bytes", "host_peak_bytes"):
        if host := _positive(held.get(name)):
            return host + (_positive(held.get(f"replicas_{name}")) or 0.0)
    return None


def _positive(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    return float(value) if known else None


def _quality_speed(view: View) -> Scatter | None:
    flat = [{path[-1]: value for path, value in flatten(run.result.counters)} for run in view.runs]
    name = next((name for name in SPEEDS if sum(isinstance(one.get(name), int | float) for one in flat) > 1), None)
    if name is None:
        return None
    note = "Mean of the tasks' primary metrics against measured speed; on the front, none beats it at both."
    speeds = [_positive(one.get(name)) for one in flat]
    return _figure(view, "Quality against speed", note, speeds, name.replace("_", " "), larger_is_better=True)


def _quality_memory(view: View) -> Scatter | None:
    sizes = [None if size is None else size / 1e9 for size in map(memory, view.runs)]
    note = (
        "Mean of the tasks' primary metrics against the peak of device memory (GPU runs) or of the process while it "
        "answers (CPU runs), in GB (1e9 bytes); on the front, none is better with less. Models behind servers are left "
        "out: their memory is not seen from here."
    )
    return _figure(view, "Quality against memory", note, sizes, "peak memory, GB", larger_is_better=False)


def _figure(
    view: View, title: str, note: str, values: Sequence[float | None], axis: str, *, larger_is_better: bool
) -> Scatter | None:
    points = [
        (value, quality, run)
        for value, quality, run in zip(values, qualities(view), view.runs, strict=True)
        if value is not None and quality is not None
    ]
    if len(points) < 2:
        return None
    best = front(points, larger_is_better)
    halves = [half_width(view, run) for _, _, run in points]
    ends = [
        end
        for (_, quality, _), half in zip(points, halves, strict=True)
        for end in (quality - (half or 0), quality + (half or 0))
    ]
    across, up = scale(value for value, _, _ in points), scale(ends, 0.0, 100.0)
    # Neighbours in height write above and below their points in turn.
    heights = sorted(range(len(points)), key=lambda place: (points[place][1], points[place][0]))
    above = {place for rank, place in enumerate(heights) if rank % 2}
    marks = tuple(
        Mark(
            x=across.at(value),
            y=100 - up.at(quality),
            tip=f"{run.label}: {value:.3g}, {quality:.1f} %" + (f" ± {half:.1f}" if half else ""),
            tone=run.number % COLOURS,
            symbol=SYMBOLS[run.number // COLOURS % len(SYMBOLS)],
            low=None if half is None else 100 - up.at(quality - half),
            high=None if half is None else 100 - up.at(quality + half),
            label=run.label,
            above=place in above,
        )
        for place, ((value, quality, run), half) in enumerate(zip(points, halves, strict=True))
    )
    return Scatter(
        title=title,
        note=f"{note} Lines are 95 % intervals.",
        x=Axis(axis, across.ticks()),
        y=Axis("mean score, percent", up.ticks()),
        marks=marks,
        segments=tuple(_steps([(across.at(x), 100 - up.at(y)) for x, y, _ in best], larger_is_better)),
        legend=((None, "Pareto front"),),
        height=380,
    )


def _steps(points: Sequence[tuple[float, float]], first_up: bool) -> Iterator[Segment]:
    """Between two of its points the front is as good as the next one at least: a step, and never a slope."""
    for (x1, y1), (x2, y2) in pairwise(points):
        corner = (x1, y2) if first_up else (x2, y1)
        yield Segment(x1, y1, *corner)
        yield Segment(*corner, x2, y2)


def front(points: Sequence[Point], larger_is_better: bool) -> list[Point]:
    """The points that no other beats at both, from small to large values."""
    sign = 1 if larger_is_better else -1

    def beats(a: Point, b: Point) -> bool:
        ahead = sign * (a[0] - b[0])
        return ahead >= 0 and a[1] >= b[1] and (ahead > 0 or a[1] > b[1])

    return sorted((one for one in points if not any(beats(other, one) for other in points)), key=lambda one: one[0])
