"""A board's plots, as evalkit.render.charts makes them: score against size, and scores over time."""

from __future__ import annotations

from typing import Any

from evalkit.leaderboard.rows import score_title
from evalkit.leaderboard.table import Row, Table
from evalkit.render.charts import Figure, safe
from evalkit.statistics.intervals import Z95

MARKS = {"full": "circle", "limited": "circle-open", "sample": "circle-open-dot", "published": "diamond-open"}


TICKS = [one * 10**power for power in range(-3, 4) for one in (1, 2, 5)]


def plots(table: Table) -> list[Figure]:
    """The plots that have two points or more."""
    made = (_size(table), _trend(table))
    return [figure for figure in made if figure is not None]


def _unit(table: Table) -> str:
    if table.board.score == "column":
        return safe(table.board.columns[0].title)
    return "mean win rate, %" if table.board.score == "win_rate" else "average"


def _size(table: Table) -> Figure | None:
    points = [row for row in table.rows if row.score is not None and row.entry.model.parameters]
    if len(points) < 2 or len({row.entry.model.parameters for row in points}) < 2:
        return None
    kinds = sorted({row.entry.model.type for row in points})
    traces = [_dots([row for row in points if row.entry.model.type == kind], kind) for kind in kinds]
    return {
        "title": f"{score_title(table.board)} against size",
        "note": "Each dot is a row of the table; open marks are limited runs or samples, diamonds published numbers.",
        "data": traces,
        "layout": {
            "height": 400,
            "xaxis": {
                "type": "log",
                "title": {"text": "parameters, billions"},
                "tickvals": TICKS,
                "ticktext": [f"{tick:g}" for tick in TICKS],
            },
            "yaxis": {"title": {"text": _unit(table)}},
        },
    }


def _dots(rows: list[Row], name: str) -> dict[str, Any]:
    known = all(row.error for row in rows)
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "name": safe(name),
        "x": [(row.entry.model.parameters or 0) / 1e9 for row in rows],
        "y": [row.score for row in rows],
        "text": [safe(row.entry.model.name) for row in rows],
        "hovertemplate": "%{text}<br>%{x:.3g} B, %{y:.1f}<extra></extra>",
        "marker": {"size": 9, "symbol": [MARKS[row.status] for row in rows]},
    }
    if known and len(rows) <= 60:
        trace["error_y"] = {"type": "data", "array": [Z95 * row.error for row in rows], "thickness": 1, "width": 0}
    return trace


def _trend(table: Table) -> Figure | None:
    """Measured rows by date, with the best score so far."""
    dated = [
        (row.entry.date, row.score, row)
        for row in table.rows
        if row.score is not None and row.status != "published" and len(row.entry.date) >= 10
    ]
    if len(dated) < 2 or table.board.score == "column":
        return None
    dated.sort(key=lambda one: one[0])
    best: list[float] = []
    better = min if table.falling else max
    for _, score, _ in dated:
        best.append(better(score, best[-1]) if best else score)
    return {
        "title": "Over time",
        "note": "When each row's newest run was made; the line is the best score so far.",
        "data": [
            {
                "type": "scatter",
                "mode": "markers",
                "name": "runs",
                "x": [date for date, _, _ in dated],
                "y": [score for _, score, _ in dated],
                "text": [safe(row.entry.model.name) for _, _, row in dated],
                "hovertemplate": "%{text}<br>%{x}, %{y:.1f}<extra></extra>",
                "marker": {"size": 8, "symbol": [MARKS[row.status] for _, _, row in dated]},
            },
            {
                "type": "scatter",
                "mode": "lines",
                "name": "best so far",
                "x": [date for date, _, _ in dated],
                "y": best,
                "line": {"shape": "hv", "dash": "dot"},
                "hoverinfo": "skip",
                "neutral": True,
            },
        ],
        "layout": {"height": 400, "xaxis": {"type": "date"}, "yaxis": {"title": {"text": _unit(table)}}},
    }
