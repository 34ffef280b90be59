"""A table as the site shows it: texts, sort values and facts of every row, worked out before any template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from evalkit.leaderboard.board import Board, Column
from evalkit.leaderboard.categories import Mark, column_marks
from evalkit.leaderboard.entry import Entry, slug
from evalkit.leaderboard.table import Cell, Row, Table
from evalkit.text import numbers

FACTS = {
    "type": "Type",
    "parameters": "Size, B",
    "precision": "Precision",
    "quantization": "Quantization",
    "adapters": "Adapters",
    "revision": "Revision",
    "backend": "Backend",
    "hardware": "Hardware",
    "date": "Date",
}
SCORES = {"mean": "Average", "families": "Index", "win_rate": "Mean win rate, %", "column": ""}


@dataclass(frozen=True, slots=True)
class Head:
    """One column of the page. ``id`` is what links and the chooser call it."""

    id: str
    title: str
    group: str
    numeric: bool
    rising: bool
    shown: bool
    kind: str
    note: str = ""
    page: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the page; texts and sort values stand in the order of the heads."""

    row: Row
    page: str
    texts: tuple[str, ...]
    notes: tuple[str, ...]
    spans: tuple[str, ...]
    """95 % intervals, "61.2 to 65.5", or in what a published number differs; "" where there is neither."""
    sorts: tuple[Any, ...]
    filters: dict[str, str]
    marks: tuple[Mark, ...] = ()
    """Who is best in a column: "best" alone, or "tied" with others that cannot be told apart."""


def score_title(board: Board) -> str:
    """What the score column is called."""
    return SCORES[board.score] or "Score"


def heads(table: Table) -> list[Head]:
    """Rank, model, score, the board's columns, then the facts."""
    board = table.board
    found = [
        Head("rank", "Rank", "", True, False, True, "rank"),
        Head("model", "Model", "", False, False, True, "model"),
    ]
    if board.score != "column":
        found.append(Head("score", score_title(board), "", True, True, True, "score"))
    for place, column in enumerate(board.columns):
        found.append(_column_head(table, place, column))
    if board.score in ("mean", "families"):
        found.append(Head("win", "Mean win rate, %", "", True, True, True, "win"))
    for name, title in FACTS.items():
        known = any(fact(row.entry, name) for row in table.rows)
        found.append(Head(name, title, "", name == "parameters", True, known and name in board.facts, "fact"))
    return found


def column_page(place: int, column: Column) -> str:
    """The file of a column's own page."""
    return f"{place + 1:02d}-{slug(column.title)}.html"


def _column_head(table: Table, place: int, column: Column) -> Head:
    cell = next((row.cells[place] for row in table.rows if row.cells[place]), None)
    rising = cell.higher_is_better if cell else column.higher_is_better
    unit = column.unit or (cell.unit if cell else "")
    what = column.counter or f"{column.task}, {column.metric or 'primary metric'}"
    shots = "" if column.num_fewshot is None else f", {column.num_fewshot}-shot"
    weight = "" if column.weight == 1 else f", weight {column.weight:g}"
    return Head(
        f"c{place}",
        f"{column.title}, {unit}" if unit else column.title,
        column.group,
        True,
        rising,
        not column.hidden,
        "column",
        f"{what}{shots}{weight}",
        column_page(place, column),
    )


def value_text(cell: Cell | None) -> str:
    """A cell's number."""
    return numbers.MISSING if cell is None else numbers.score(cell.value, cell.proportion)


def note(cell: Cell | None) -> str:
    """What stands behind a number, in one line."""
    if cell is None:
        return ""
    parts = [f"95 % interval {numbers.interval(cell.interval, cell.proportion)}" if cell.interval else ""]
    if cell.n:
        part = cell.n_total and cell.n < cell.n_total
        parts.append(f"{cell.n:,} of {cell.n_total:,} documents" if part else f"{cell.n:,} documents")
    parts.append("bundled items" if cell.sample else "")
    parts.append("" if cell.num_fewshot is None else f"{cell.num_fewshot}-shot")
    parts.append(graded(cell))
    return ", ".join(part for part in parts if part)


def graded(cell: Cell | None) -> str:
    """By which grader a cell's texts were judged, and the kappa that it was measured at; "" where none was."""
    parts = dict(part.split(":", 1) for part in cell.signature.split("|") if ":" in part) if cell else {}
    if "grader" not in parts:
        return ""
    kappa = parts.get("kappa", "not validated")
    measured = "which was not validated" if kappa == "not validated" else f"kappa {kappa}"
    return f"graded by {parts['grader']}, {measured}"


def fact(entry: Entry, name: str) -> str:
    """One of FACTS as text; "" where it is not known."""
    model = entry.model
    if name == "parameters":
        return "" if model.parameters is None else f"{model.parameters / 1e9:.3g}"
    if name == "adapters":
        return ", ".join(model.adapters)
    if name == "hardware":
        return entry.hardware
    if name == "date":
        return entry.date[:10]
    return str(getattr(model, name))


def lines(table: Table, columns: Sequence[Head]) -> list[Line]:
    """Every row, in the table's order."""
    several, best = _several_shots(table), column_marks(table)
    found = [_line(row, columns, place, several, table.decimals) for place, row in enumerate(table.rows)]
    marked = [{f"c{place}": by_row.get(line.row.key, "") for place, by_row in enumerate(best)} for line in found]
    return [
        replace(line, marks=tuple(own.get(head.id, "") for head in columns))
        for line, own in zip(found, marked, strict=True)
    ]


def _several_shots(table: Table) -> set[int]:
    """Columns whose cells were measured with different numbers of shots: there each cell says its own."""
    shots: dict[int, set[int | None]] = {}
    for row in table.rows:
        for place, cell in enumerate(row.cells):
            if cell is not None:
                shots.setdefault(place, set()).add(cell.num_fewshot)
    return {place for place, found in shots.items() if len(found) > 1}


def _line(row: Row, columns: Sequence[Head], place: int, several: set[int], decimals: int) -> Line:
    entry = row.entry
    size = entry.model.parameters
    texts: dict[str, str] = {
        "rank": numbers.MISSING if row.rank is None else str(row.rank),
        "model": entry.model.name,
        "score": numbers.mean(row.score, decimals),
        "win": numbers.MISSING if row.win_rate is None else f"{100 * row.win_rate:.0f}",
        **{name: fact(entry, name) for name in FACTS},
    }
    sorts: dict[str, Any] = {
        # Equal ranks keep the order of their scores, and unranked rows stand among them by score.
        "rank": None if row.rank is None else row.rank + place / 1e6,
        "model": entry.model.name.lower(),
        "score": row.score,
        "win": row.win_rate,
        **{name: fact(entry, name).lower() or None for name in FACTS},
        "parameters": None if size is None else size / 1e9,
    }
    notes: dict[str, str] = {}
    spans: dict[str, str] = {}
    if row.interval is not None:
        low, high = (numbers.mean(end, decimals) for end in row.interval)
        spans["score"] = f"{low} to {high}"
        notes["score"] = f"95 % interval {low} to {high}"
    if row.as_published:
        notes["score"] = "the source's own average"
    for number, cell in enumerate(row.cells):
        texts[f"c{number}"] = value_text(cell)
        sorts[f"c{number}"] = None if cell is None else cell.value
        notes[f"c{number}"] = note(cell)
        if cell is not None and cell.interval is not None:
            spans[f"c{number}"] = numbers.interval(cell.interval, cell.proportion)
        if cell is not None and number in several and cell.num_fewshot is not None:
            own = (f"{cell.num_fewshot}-shot", spans.get(f"c{number}", ""))
            spans[f"c{number}"] = ", ".join(part for part in own if part)
    for number, told in enumerate(row.differences):
        if told:
            spans[f"c{number}"] = told
            notes[f"c{number}"] = f"the source has a number, measured otherwise: {told}"
    names = [head.id for head in columns]
    return Line(
        row,
        f"{row.key}.html",
        tuple(texts[name] for name in names),
        tuple(notes.get(name, "") for name in names),
        tuple(spans.get(name, "") for name in names),
        tuple(sorts[name] for name in names),
        {
            "type": entry.model.type,
            "precision": entry.model.precision,
            "quantization": entry.model.quantization or "none",
            "adapters": "with adapter" if entry.model.adapters else "without adapter",
            "hardware": entry.hardware,
            "status": row.status,
        },
    )


FILTERS = {
    "status": "Results",
    "type": "Type",
    "precision": "Precision",
    "quantization": "Quantization",
    "adapters": "Adapters",
    "hardware": "Hardware",
}


def options(found: Sequence[Line]) -> dict[str, list[str]]:
    """Filter -> its values, where there is more than one to choose from."""
    values = {name: sorted({line.filters[name] for line in found if line.filters[name]}) for name in FILTERS}
    return {name: choices for name, choices in values.items() if len(choices) > 1}
