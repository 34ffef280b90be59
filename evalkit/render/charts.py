"""Plots as plain plotly figures (dicts of numbers and text); the page draws them when they come into view.

Texts reach plotly with their markup taken out: plotly renders a small HTML subset, links among it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.render.text import visible
from evalkit.render.view import Row, Run, View

Figure = dict[str, Any]


def safe(text: str, length: int = 60) -> str:
    """Text for plotly, which reads <b>, <a href> and character references: no angle brackets or ampersands."""
    plain = visible(text).replace("&", "＆").replace("<", "‹").replace(">", "›")
    return plain if len(plain) <= length else plain[: length - 1] + "…"


def charts(view: View) -> list[Figure]:
    """Every plot that the runs have data for: {"title", "note", "data", "layout"}."""
    figures: list[Figure] = []
    for unit in ("%", ""):
        rows = [row for block in view.blocks for row in block.headline[:1] if row.unit == unit]
        if rows:
            figures.append(_bars(rows, view.runs, unit))
    for block in view.blocks:
        leaves = [row for row in block.rows if row.level == "task" and row.primary]
        if len(leaves) >= 8:
            figures.append(_heat_map(block.title, leaves, view.runs))
        categories = [row for row in block.rows if row.level == "micro" and row.depth == 1]
        if len(categories) >= 3:
            figures.append(_radar(block.title, categories, view.runs))
    pareto = _quality_speed(view)
    return [*figures, *([pareto] if pareto else [])]


def _factor(row: Row) -> float:
    return 100.0 if row.unit else 1.0


def _bars(rows: Sequence[Row], runs: Sequence[Run], unit: str) -> Figure:
    """Grouped horizontal bars with 95 % intervals; a mark for random guessing where it is known."""
    names = [safe(f"{row.name} · {row.metric}") for row in rows]
    traces: list[dict[str, Any]] = []
    for run in runs:
        cells = [row.cells[run.number] for row in rows]
        scale = [_factor(row) for row in rows]
        values = [
            cell.value * factor if cell and cell.value is not None else None
            for cell, factor in zip(cells, scale, strict=True)
        ]
        plus, minus = [], []
        for cell, factor in zip(cells, scale, strict=True):
            known = cell is not None and cell.value is not None and cell.bounds is not None
            plus.append((cell.bounds[1] - cell.value) * factor if known else 0)  # type: ignore[union-attr,index,operator]
            minus.append((cell.value - cell.bounds[0]) * factor if known else 0)  # type: ignore[union-attr,index,operator]
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": safe(run.label),
                "y": names,
                "x": values,
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": plus,
                    "arrayminus": minus,
                    "thickness": 1.2,
                    "width": 3,
                },
                "hovertemplate": "%{y}<br>%{x:.2f}" + unit + "<extra>%{fullData.name}</extra>",
            }
        )
    guesses = [
        (name, row.baseline_at) for name, row in zip(names, rows, strict=True) if unit and row.baseline_at is not None
    ]
    if guesses:
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "random guessing",
                "y": [name for name, _ in guesses],
                "x": [value for _, value in guesses],
                "marker": {"symbol": "line-ns-open", "size": 16, "line": {"width": 2}},
                "neutral": True,
            }
        )
    axis: dict[str, Any] = {"title": {"text": "percent" if unit else "score"}, "zeroline": True}
    if unit:
        axis["range"] = [0, 100]
    height = 120 + max(34, 15 * len(runs) + 12) * len(rows)
    return {
        "title": "Scores with 95 % intervals" + ("" if unit else " (own units)"),
        "note": "Each bar is one run; the whisker is its 95 % confidence interval.",
        "data": traces,
        "layout": {
            "barmode": "group",
            "height": height,
            "xaxis": axis,
            "yaxis": {"autorange": "reversed", "automargin": True},
        },
    }


def _heat_map(title: str, rows: Sequence[Row], runs: Sequence[Run]) -> Figure:
    """Tasks by runs."""
    names = [safe(row.name) for row in rows]
    values = [
        [
            cell.value * _factor(row) if (cell := row.cells[run.number]) and cell.value is not None else None
            for run in runs
        ]
        for row in rows
    ]
    text = [[cell.text if (cell := row.cells[run.number]) else "" for run in runs] for row in rows]
    return {
        "title": f"{title} by task",
        "note": "One row a task, one column a run; the table under Tasks has the same numbers with intervals.",
        "data": [
            {
                "type": "heatmap",
                "y": names,
                "x": [safe(run.label, 28) for run in runs],
                "z": values,
                "text": text,
                "texttemplate": "%{text}",
                "hovertemplate": "%{y}<br>%{x}: %{z:.2f}<extra></extra>",
                "colorbar": {"thickness": 10, "outlinewidth": 0},
                "ramp": True,
                "xgap": 2,
                "ygap": 1,
            }
        ],
        "layout": {
            "height": 110 + 19 * len(rows),
            "yaxis": {"autorange": "reversed", "automargin": True},
            "xaxis": {"side": "top", "type": "category"},
        },
    }


def _radar(title: str, rows: Sequence[Row], runs: Sequence[Run]) -> Figure:
    """Categories of a group on a radar, closed."""
    names = [safe(row.name.removeprefix(f"{title}_"), 28) for row in rows]
    traces = []
    for run in runs:
        cells = [row.cells[run.number] for row in rows]
        values = [cell.value * 100 if cell and cell.value is not None else None for cell in cells]
        traces.append(
            {
                "type": "scatterpolar",
                "name": safe(run.label),
                "theta": [*names, names[0]],
                "r": [*values, values[0]],
                "mode": "lines+markers",
            }
        )
    return {
        "title": f"{title} by category",
        "note": "Averages over the documents of each category, in percent.",
        "data": traces,
        "layout": {"height": 420, "polar": {"radialaxis": {"range": [0, 100], "angle": 90, "tickangle": 90}}},
    }


_SPEEDS = (
    "tokens_per_second",
    "tokens_per_s",
    "documents_per_second",
    "documents_per_s",
    "requests_per_second",
    "requests_per_s",
)


def _quality_speed(view: View) -> Figure | None:
    """Quality against speed with the Pareto front, when two or more runs measured the same speed."""
    from evalkit.render.numbers import flatten

    flat = [{path[-1]: value for path, value in flatten(run.result.counters)} for run in view.runs]
    name = next((name for name in _SPEEDS if sum(isinstance(one.get(name), int | float) for one in flat) > 1), None)
    if name is None:
        return None
    rows = [block.headline[0] for block in view.blocks if block.headline and block.headline[0].unit]
    points = []
    for run, one in zip(view.runs, flat, strict=True):
        values = [cell.value for row in rows if (cell := row.cells[run.number]) and cell.value is not None]
        if rows and len(values) == len(rows) and isinstance(one.get(name), int | float):
            points.append((float(one[name]), 100 * sum(values) / len(values), run))
    if len(points) < 2:
        return None
    front = [point for point in points if not any(_dominates(other, point) for other in points)]
    front.sort(key=lambda point: point[0])
    line: Mapping[str, Any] = {
        "type": "scatter",
        "mode": "lines",
        "name": "Pareto front",
        "x": [point[0] for point in front],
        "y": [point[1] for point in front],
        "line": {"dash": "dot", "shape": "hv"},
        "neutral": True,
    }
    dots = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": safe(run.label),
            "x": [speed],
            "y": [quality],
            "marker": {"size": 12},
        }
        for speed, quality, run in points
    ]
    return {
        "title": "Quality against speed",
        "note": "Mean of the tasks' primary metrics against measured speed; on the front, none beats it at both.",
        "data": [*dots, dict(line)],
        "layout": {
            "height": 380,
            "xaxis": {"title": {"text": name.replace("_", " ")}},
            "yaxis": {"title": {"text": "mean score, percent"}},
        },
    }


def _dominates(a: tuple[float, float, Run], b: tuple[float, float, Run]) -> bool:
    return a[0] >= b[0] and a[1] >= b[1] and (a[0] > b[0] or a[1] > b[1])
