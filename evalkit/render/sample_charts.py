"""Plots that need the samples themselves: calibration of multiple choice, and needle heat maps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from evalkit.render.figures import COLOURS, Axis, Figure, Heat, HeatCell, Mark, Scale, Scatter, Segment
from evalkit.render.samples import PART, SampleReader, part_of
from evalkit.render.view import Run
from evalkit.statistics.intervals import wilson
from evalkit.text.reading import parse_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

BINS = 10
FIRST_FEW = 100
"""Items that tell whether a task's have a place in a grid."""
CALIBRATION_FROM = 100
"""Items below which a calibration curve is noise alone."""
BIN_FROM = 10
"""Items below which a bin is not drawn."""


def sample_charts(opened: Sequence[SampleReader], runs: Sequence[Run]) -> list[Figure]:
    """The plots that the runs' samples have data for, in `evalkit.render.charts.charts`'s form."""
    calibration = _calibration(opened, runs)
    return [*([calibration] if calibration else []), *_needles(opened, runs)]


# -- calibration ------------------------------------------------------------------------------------------------------


def _calibration(opened: Sequence[SampleReader], runs: Sequence[Run]) -> Scatter | None:
    """Reliability diagram (Guo et al. 2017, arXiv 1706.04599): accuracy of items by the model's confidence."""
    marks: list[Mark] = []
    segments = [Segment(0, 100, 100, 0)]
    legend: list[tuple[int | None, str]] = [(None, "perfectly calibrated")]
    asked: dict[str, None] = {}
    for reader, run in zip(opened, runs, strict=True):
        names = [task.info.name for task in run.result.tasks if task.info.kind == "multiple_choice"]
        names = [name for name in names if name in set(reader.tasks())]
        asked.update(dict.fromkeys(names))
        pairs = [pair for name in names for pair in _confidences(reader, name)]
        if len(pairs) >= CALIBRATION_FROM:
            curve, error = _curve(pairs, run)
            marks += curve
            segments += [
                Segment(one.x, one.y, other.x, other.y, run.number % COLOURS) for one, other in pairwise(curve)
            ]
            legend.append((run.number, f"{run.label} (expected error {error:.1f} points, n {len(pairs):,})"))
    if not marks:
        return None
    axis = Scale(0, 100).ticks()
    return Scatter(
        title="Calibration",
        note="Multiple-choice items in ten bins of the model's confidence (the largest softmax of the choices' "
        "log-likelihoods): how often it was right, with 95 % intervals. Larger dots hold more items; bins of fewer "
        f"than {BIN_FROM} are left out; below the dotted line it is too sure." + part_of(opened, list(asked)),
        x=Axis("confidence, percent", axis),
        y=Axis("right, percent", axis),
        marks=tuple(marks),
        segments=tuple(segments),
        legend=tuple(legend),
        height=380,
    )


def _confidences(reader: SampleReader, task: str) -> Iterator[tuple[float, bool]]:
    """(confidence, right) of each item with one right choice and finite log-likelihoods."""
    frame = reader.samples(task, ["status", "target", "responses"], PART)
    for status, target, responses in zip(frame["status"], frame["target"], frame["responses"], strict=True):
        if status != "ok" or target is None or responses is None or len(responses) < 2:
            continue
        try:
            gold = parse_json(target)
        except ValueError:
            continue
        scores = [response.get("loglikelihood") for response in responses]
        if (
            not isinstance(gold, int)
            or isinstance(gold, bool)
            or any(s is None or not math.isfinite(s) for s in scores)
        ):
            continue
        top = max(scores)
        yield 1 / sum(math.exp(score - top) for score in scores), scores.index(top) == gold


def _curve(pairs: Sequence[tuple[float, bool]], run: Run) -> tuple[list[Mark], float]:
    """The bins of enough items, and the expected calibration error over all of them, in points."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    for confidence, right in pairs:
        bins.setdefault(min(int(confidence * BINS), BINS - 1), []).append((confidence, right))
    marks, error = [], 0.0
    for number in sorted(bins):
        inside = bins[number]
        n, hits = len(inside), sum(right for _, right in inside)
        x, y = 100 * sum(confidence for confidence, _ in inside) / n, 100 * hits / n
        error += n * abs(x - y) / len(pairs)
        if n < BIN_FROM:
            continue
        low, high = wilson(hits, n)
        tip = f"{run.label}: confidence {x:.0f} %, right {y:.0f} % ({100 * low:.0f} to {100 * high:.0f}), {n:,} items"
        marks.append(
            Mark(
                round(x, 2),
                round(100 - y, 2),
                tip,
                tone=run.number % COLOURS,
                size=round(3 + 6 * math.sqrt(n / len(pairs)), 1),
                low=round(100 - 100 * low, 2),
                high=round(100 - 100 * high, 2),
            )
        )
    return marks, error


# -- needles ----------------------------------------------------------------------------------------------------------


def _needles(opened: Sequence[SampleReader], runs: Sequence[Run]) -> Iterator[Figure]:
    """A heat map a task and run whose samples say at which length and depth their needle stood."""
    for reader, run in zip(opened, runs, strict=True):
        known = set(reader.tasks())
        for task in run.result.tasks:
            if task.info.name in known and (grid := _grid(reader, task.info.name, task.info.primary)):
                yield _needle_map(task.info.alias or task.info.name, run, len(runs) > 1, grid)


Grid = Mapping[tuple[float, float], Sequence[float]]


def _grid(reader: SampleReader, task: str, primary: str) -> Grid:
    """(context length in tokens, depth) -> values of the primary metric."""
    beginning = reader.samples(task, ["extra"], FIRST_FEW)["extra"]
    if _place(next((text for text in beginning if text), None)) is None:
        return {}
    extras = reader.samples(task, ["extra"])["extra"]
    metrics = reader.samples(task, ["metrics"])["metrics"]
    found: dict[tuple[float, float], list[float]] = {}
    for text, values in zip(extras, metrics, strict=True):
        place = _place(text)
        value = values.get(primary) if isinstance(values, Mapping) else None
        if place is not None and value is not None and math.isfinite(value):
            found.setdefault(place, []).append(float(value))
    return found


def _place(text: Any) -> tuple[float, float] | None:
    try:
        extra = parse_json(text) if isinstance(text, str) else None
    except ValueError:
        return None
    if not isinstance(extra, Mapping):
        return None
    length, depth = extra.get("length"), extra.get("depth")
    if any(isinstance(one, bool) or not isinstance(one, int | float) for one in (length, depth)):
        return None
    return (float(length), float(depth)) if math.isfinite(length + depth) else None  # type: ignore[arg-type,operator]


def _needle_map(name: str, run: Run, many: bool, grid: Grid) -> Heat:
    lengths = sorted({length for length, _ in grid})
    depths = sorted({depth for _, depth in grid})
    factor = 1 if max(depths) > 1 else 100
    most = max(len(cell) for cell in grid.values())
    fewest = min(len(cell) for cell in grid.values())
    n = f"{most:,}" if most == fewest else f"{fewest:,} to {most:,}"
    return Heat(
        title=f"{name}: needles found" + (f", {run.label}" if many else ""),
        note="Percent right by context length in tokens (across) and by how deep in the context the needle stood "
        f"(down); higher is better. {n} items a cell.",
        corner="Depth",
        across="Context length, tokens",
        columns=tuple(f"{length:,.0f}" for length in lengths),
        rows=tuple(
            (f"{depth * factor:.0f} %", tuple(_found(grid.get((length, depth))) for length in lengths))
            for depth in depths
        ),
    )


def _found(values: Sequence[float] | None) -> HeatCell | None:
    if not values:
        return None
    share = 100 * sum(values) / len(values)
    return HeatCell(f"{share:.0f}", round(share, 1))
