"""Plots that need the samples themselves: calibration of multiple choice, and needle heat maps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evalkit.render.charts import Figure, safe
from evalkit.render.samples import PART, SampleReader, part_of
from evalkit.render.view import Run
from evalkit.text.reading import parse_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

BINS = 10
FIRST_FEW = 100
"""Items that tell whether a task's have a place in a grid."""
CALIBRATION_FROM = 20
"""Items below which a calibration curve is noise alone."""


def sample_charts(opened: Sequence[SampleReader], runs: Sequence[Run]) -> list[Figure]:
    """The plots that the runs' samples have data for, in `evalkit.render.charts.charts`'s form."""
    calibration = _calibration(opened, runs)
    return [*([calibration] if calibration else []), *_needles(opened, runs)]


# -- calibration ------------------------------------------------------------------------------------------------------


def _calibration(opened: Sequence[SampleReader], runs: Sequence[Run]) -> Figure | None:
    """Reliability diagram (Guo et al. 2017, arXiv 1706.04599): accuracy of items by the model's confidence."""
    traces = []
    asked: dict[str, None] = {}
    for reader, run in zip(opened, runs, strict=True):
        names = [task.info.name for task in run.result.tasks if task.info.kind == "multiple_choice"]
        names = [name for name in names if name in set(reader.tasks())]
        asked.update(dict.fromkeys(names))
        pairs = [pair for name in names for pair in _confidences(reader, name)]
        if len(pairs) >= CALIBRATION_FROM:
            traces.append(_curve(pairs, run))
    if not traces:
        return None
    diagonal = {
        "type": "scatter",
        "mode": "lines",
        "name": "perfectly calibrated",
        "x": [0, 100],
        "y": [0, 100],
        "line": {"dash": "dot"},
        "hoverinfo": "skip",
        "neutral": True,
    }
    return {
        "title": "Calibration",
        "note": "Multiple-choice items in ten bins of the model's confidence (the largest softmax of the choices' "
        "log-likelihoods): how often it was right. Larger dots hold more items; below the line it is too sure."
        + part_of(opened, list(asked)),
        "data": [*traces, diagonal],
        "layout": {
            "height": 420,
            "xaxis": {"title": {"text": "confidence, percent"}, "range": [0, 102]},
            "yaxis": {"title": {"text": "right, percent"}, "range": [-2, 102]},
        },
    }


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


def _curve(pairs: Sequence[tuple[float, bool]], run: Run) -> dict[str, Any]:
    bins: dict[int, list[tuple[float, bool]]] = {}
    for confidence, right in pairs:
        bins.setdefault(min(int(confidence * BINS), BINS - 1), []).append((confidence, right))
    x, y, counts = [], [], []
    for number in sorted(bins):
        inside = bins[number]
        x.append(100 * sum(confidence for confidence, _ in inside) / len(inside))
        y.append(100 * sum(right for _, right in inside) / len(inside))
        counts.append(len(inside))
    error = sum(count * abs(a - b) for a, b, count in zip(x, y, counts, strict=True)) / len(pairs)
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": safe(f"{run.label} (expected error {error:.1f} points)", 90),
        "x": x,
        "y": y,
        "customdata": counts,
        "hovertemplate": "confidence %{x:.0f}, right %{y:.0f}, %{customdata} items<extra></extra>",
        "marker": {"size": [6 + 12 * math.sqrt(count / len(pairs)) for count in counts]},
    }


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


def _needle_map(name: str, run: Run, many: bool, grid: Grid) -> Figure:
    lengths = sorted({length for length, _ in grid})
    depths = sorted({depth for _, depth in grid})
    factor = 1 if max(depths) > 1 else 100
    z = [
        [100 * sum(cell) / len(cell) if (cell := grid.get((length, depth))) else None for length in lengths]
        for depth in depths
    ]
    return {
        "title": safe(f"{name}: needles found" + (f", {run.label}" if many else ""), 110),
        "note": "Percent right by context length (across) and by how deep in the context the needle stood (down).",
        "data": [
            {
                "type": "heatmap",
                "x": [f"{length:,.0f}" for length in lengths],
                "y": [f"{depth * factor:.0f} %" for depth in depths],
                "z": z,
                "zmin": 0,
                "zmax": 100,
                "text": [[None if value is None else f"{value:.0f}" for value in row] for row in z],
                "texttemplate": "%{text}",
                "hovertemplate": "%{x} tokens, depth %{y}: %{z:.1f}<extra></extra>",
                "colorbar": {"thickness": 10, "outlinewidth": 0},
                "ramp": True,
                "xgap": 2,
                "ygap": 2,
            }
        ],
        "layout": {
            "height": 130 + 26 * len(depths),
            "xaxis": {"type": "category", "title": {"text": "context length, tokens"}},
            "yaxis": {"type": "category", "autorange": "reversed"},
        },
    }
