"""Plots as plain plotly figures (dicts of numbers and text); the page draws them when they come into view.

Texts reach plotly with their markup taken out: plotly renders a small HTML subset, links among it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evalkit.render.view import Row, Run, View
from evalkit.text.escape import visible

Figure = dict[str, Any]


def safe(text: str, length: int = 60) -> str:
    """Text for plotly, which reads <b>, <a href> and character references: no angle brackets or ampersands."""
    plain = visible(text).replace("&", "＆").replace("<", "‹").replace(">", "›")
    return plain if len(plain) <= length else plain[: length - 1] + "…"


def charts(view: View) -> list[Figure]:
    """Every plot that the runs have data for: {"title", "note", "data", "layout"}."""
    figures: list[Figure] = []
    headlines = [row for block in view.blocks for row in block.headline[:1]]
    # What is measured in different units does not share an axis; shares come first.
    for other, unit in sorted({(not row.share, row.unit) for row in headlines}):
        rows = [row for row in headlines if (not row.share, row.unit) == (other, unit)]
        figures.append(_bars(rows, view.runs, unit))
    for block in view.blocks:
        leaves = [row for row in block.rows if row.level == "task" and row.primary]
        if len(leaves) >= 8:
            figures.append(_heat_map(block.title, leaves, view.runs))
        categories = [row for row in block.rows if row.level == "micro" and row.depth == 1]
        if len(categories) >= 3:
            figures.append(_radar(block.title, categories, view.runs))
    return figures


def _factor(row: Row) -> float:
    return 100.0 if row.share else 1.0


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
                "hovertemplate": "%{y}<br>%{x:.2f}"
                + (unit if unit in ("", "%") else f" {safe(unit)}")
                + "<extra>%{fullData.name}</extra>",
            }
        )
    guesses = [
        (name, row.baseline_at)
        for name, row in zip(names, rows, strict=True)
        if row.share and row.baseline_at is not None
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
    axis: dict[str, Any] = {"title": {"text": "percent" if unit == "%" else safe(unit) or "score"}, "zeroline": True}
    if all(row.share for row in rows):
        axis["range"] = [0, 100]
    height = 120 + max(34, 15 * len(runs) + 12) * len(rows)
    return {
        "title": "Scores with 95 % intervals" + ("" if unit == "%" else f" ({safe(unit) or 'own units'})"),
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
