"""The same plots as plotly's figures: to zoom, point at, pick from a legend and save, in a notebook or on a page.

A report draws its plots without a library, for plotly's script alone is 4.8 MB. Texts reach plotly with their markup
taken out: it renders a small HTML subset, links among it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.render import page
from evalkit.render.figures import Bars, Figure, Heat, Scatter
from evalkit.render.parts import plots_of
from evalkit.render.report import source_of
from evalkit.render.templates import environment, markup
from evalkit.render.view import Row, View
from evalkit.store.files import replacing
from evalkit.store.paths import share
from evalkit.text.escape import visible

if TYPE_CHECKING:
    from plotly.graph_objects import Figure as PlotlyFigure

TONES = ("#2a6fdb", "#d1495b", "#2e8b57", "#b8860b", "#7b52ab", "#008b9a", "#c2185b", "#5f6b7a")
"""A run's colour by its number, dark and light enough for white paper and a dark page."""
NO_RUN = "#8a8a8a"
MACRO = {"macro": " (mean of tasks)"}
SYMBOLS = {"●": "circle", "■": "square", "◆": "diamond", "▲": "triangle-up"}


def safe(text: str, length: int = 60) -> str:
    """Text for plotly, which reads <b>, <a href> and character references: no angle brackets or ampersands."""
    plain = visible(text).replace("&", "＆").replace("<", "‹").replace(">", "›")
    return plain if len(plain) <= length else plain[: length - 1] + "…"


def figures(runs: Sequence[Path]) -> list[PlotlyFigure]:
    """Plotly figures of one run or several: the headline scores with their intervals, then the report's plots.

    Raises UserError for a folder that is no run directory.
    """
    source = source_of(runs)
    return [*_scores(source.view), *(_drawn(figure) for figure in plots_of(source))]


def write_interactive(runs: Sequence[Path], out: Path) -> Path:
    """Write `figures` as one page that needs no network (plotly's script is inside). Returns ``out``.

    Raises UserError for a folder that is no run directory or a file that cannot be written.
    """
    from plotly.offline import get_plotlyjs

    made = figures(runs)
    library, script = get_plotlyjs().replace("\r\n", "\n"), page.assets(("interactive.js",))
    context = {
        "title": ", ".join(run.label for run in source_of(runs).runs),
        "policy": page.policy([page.script_hash(library), page.script_hash(script)]),
        "style": markup(page.assets(("base.css",))),
        "library": markup(library),
        "script": markup(script),
        "captions": [(one.layout.title.text, one.layout.title.subtitle.text) for one in made],
        "data": markup(page.embed([json.loads(figure.to_json()) for figure in made])),
    }
    text = environment(share("reports")).get_template("interactive.html.j2").render(**context)
    with replacing(out) as draft:
        draft.write_text(text, encoding="utf-8", errors="replace", newline="\n")
    return out


def _new(title: str, note: str, height: int, **layout: Any) -> PlotlyFigure:
    import plotly.graph_objects as go

    heading = {"text": safe(title, 120), "subtitle": {"text": safe(note, 400), "font": {"size": 11}}}
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    standing = {"title": heading, "height": height, "legend": legend, "template": "plotly_white"}
    return go.Figure(layout={**standing, **layout})


# -- scores -----------------------------------------------------------------------------------------------------------


def _scores(view: View) -> list[PlotlyFigure]:
    """Headline scores, one figure a unit: what is measured differently does not share an axis; shares come first."""
    rows = [row for block in view.blocks for row in block.headline if any(cell for cell in row.cells)]

    def unit(row: Row) -> tuple[bool, str]:
        return not row.share, row.unit

    return [_score_figure(list(found), view) for _, found in groupby(sorted(rows, key=unit), key=unit)]


def _score_figure(rows: Sequence[Row], view: View) -> PlotlyFigure:
    share_of_one, unit = rows[0].share, "percent" if rows[0].share else rows[0].unit or "the metric's own unit"
    factor = 100.0 if share_of_one else 1.0
    made = _new(
        f"Scores, {unit}",
        "Points with 95 % intervals; grey lines mark random guessing.",
        170 + max(30, 14 * len(view.runs) + 14) * len(rows),
        xaxis={"title": {"text": safe(unit)}, **({"range": [0, 100]} if share_of_one else {})},
        yaxis={
            "range": [len(rows) - 0.5, -0.5],
            "automargin": True,
            "tickvals": list(range(len(rows))),
            "ticktext": [safe(f"{row.name}{MACRO.get(row.level, '')} · {row.metric}") for row in rows],
        },
        showlegend=True,
    )
    places = {id(row): place for place, row in enumerate(rows)}
    for run in view.runs:
        held = [(row, cell) for row in rows if (cell := row.cells[run.number]) and cell.value is not None]
        values = [factor * cell.value for _, cell in held if cell.value is not None]
        bounds = [cell.bounds or (cell.value, cell.value) for _, cell in held]
        made.add_scatter(
            name=safe(run.label),
            mode="markers",
            x=values,
            y=[places[id(row)] + 0.6 * ((run.number + 0.5) / len(view.runs) - 0.5) for row, _ in held],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [factor * (high or 0) - at for (_, high), at in zip(bounds, values, strict=True)],
                "arrayminus": [at - factor * (low or 0) for (low, _), at in zip(bounds, values, strict=True)],
            },
            marker={"color": TONES[run.number % len(TONES)], "size": 8},
            text=[safe(f"{row.name} {cell.text} {cell.interval}, n {cell.n:,}", 120) for row, cell in held],
            hovertemplate="%{text}<extra>%{fullData.name}</extra>",
        )
    guesses = [(row.baseline_at, places[id(row)]) for row in rows if share_of_one and row.baseline_at is not None]
    if guesses:
        made.add_scatter(
            name="random guessing",
            mode="markers",
            x=[at for at, _ in guesses],
            y=[place for _, place in guesses],
            marker={"symbol": "line-ns-open", "size": 16, "color": NO_RUN},
        )
    return made


# -- the report's plots -----------------------------------------------------------------------------------------------


def _drawn(figure: Figure) -> PlotlyFigure:
    if isinstance(figure, Scatter):
        return _scatter(figure)
    return _heat(figure) if isinstance(figure, Heat) else _bars(figure)


def _tone(number: int | None) -> str:
    return NO_RUN if number is None else TONES[number % len(TONES)]


def _scatter(figure: Scatter) -> PlotlyFigure:
    """Places are percent of either axis; the ticks say what stands there."""
    x, y = (
        {
            "title": {"text": safe(axis.title)},
            "range": [0, 100],
            "tickvals": [tick.at for tick in axis.ticks],
            "ticktext": [safe(tick.text) for tick in axis.ticks],
        }
        for axis in (figure.x, figure.y)
    )
    made = _new(figure.title, figure.note, figure.height + 160, xaxis=x, yaxis=y)
    for one in figure.segments:
        made.add_shape(
            type="line",
            x0=one.x1,
            x1=one.x2,
            y0=100 - one.y1,
            y1=100 - one.y2,
            line={"color": _tone(one.tone), "dash": "dot" if one.tone is None else "solid", "width": 1.5},
        )
    legend = dict(figure.legend)
    for tone in dict.fromkeys(mark.tone for mark in figure.marks):
        marks = [mark for mark in figure.marks if mark.tone == tone]
        made.add_scatter(
            name=safe(legend.get(tone, "")),
            showlegend=tone in legend,
            mode="markers+text",
            x=[mark.x for mark in marks],
            y=[100 - mark.y for mark in marks],
            text=[safe(mark.label, 24) for mark in marks],
            textposition=["top center" if mark.above else "bottom center" for mark in marks],
            customdata=[safe(mark.tip, 200) for mark in marks],
            hovertemplate="%{customdata}<extra></extra>",
            marker={
                "color": _tone(tone),
                "size": [2 * mark.size for mark in marks],
                "symbol": [SYMBOLS.get(mark.symbol, "circle") + ("-open" if mark.open else "") for mark in marks],
            },
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [mark.y - (mark.y if mark.high is None else min(mark.low or 0, mark.high)) for mark in marks],
                "arrayminus": [
                    (mark.y if mark.low is None else max(mark.low, mark.high or 0)) - mark.y for mark in marks
                ],
            },
        )
    return made


def _heat(figure: Heat) -> PlotlyFigure:
    made = _new(
        figure.title,
        figure.note,
        190 + 20 * len(figure.rows),
        xaxis={"side": "top", "type": "category"},
        yaxis={"autorange": "reversed", "automargin": True, "type": "category"},
        margin={"t": 140},
    )
    made.add_heatmap(
        x=[safe(name, 28) for name in figure.columns],
        y=[safe(name) for name, _ in figure.rows],
        z=[[cell.part if cell else None for cell in cells] for _, cells in figure.rows],
        text=[[safe(cell.text) if cell else "" for cell in cells] for _, cells in figure.rows],
        texttemplate="%{text}",
        hovertemplate="%{y}<br>%{x}: %{text}<extra></extra>",
        colorscale="Blues",
        showscale=False,
        xgap=2,
        ygap=1,
    )
    return made


def _bars(figure: Bars) -> PlotlyFigure:
    """Lengths are percent of the longest; their texts have the values and units."""
    names = dict(figure.legend)
    made = _new(
        figure.title,
        figure.note,
        170 + 24 * sum(len(found) for _, found in figure.rows),
        barmode="group",
        xaxis={"showticklabels": False, "range": [0, 112]},
        yaxis={"autorange": "reversed", "automargin": True, "type": "category"},
    )
    for tone, label in names.items():
        held = [(name, bar) for name, found in figure.rows for bar in found if bar.tone == tone]
        made.add_bar(
            orientation="h",
            name=safe(label),
            y=[safe(name) for name, _ in held],
            x=[bar.part for _, bar in held],
            text=[safe(bar.text) for _, bar in held],
            textposition="outside",
            hovertemplate="%{y}<br>%{text}<extra>%{fullData.name}</extra>",
            marker={"color": _tone(tone)},
        )
    return made
