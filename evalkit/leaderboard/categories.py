"""A board by category (the groups of its columns): each row's mean in it, the best marked, ties said as ties.

The best of a column or category is the first by score; others that cannot be told apart from it, as ranks are made
(`ranking.ranks`), are tied with it and marked alike. Only rows of the ranked kind are compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evalkit.leaderboard.ranking import Counted, Standing, ranks
from evalkit.leaderboard.table import Cell, Row, Table, counted_of
from evalkit.text import numbers

Mark = Literal["", "best", "tied"]
MOST_COMPARED = 40
"""Rows whose columns are compared each by itself; of larger boards the score's ranks speak."""


@dataclass(frozen=True, slots=True)
class Category:
    """A group of columns. ``unit``: of its means ("%" for shares); ``columns``: the titles that make them."""

    title: str
    unit: str
    columns: tuple[str, ...]
    means: Mapping[str, float]
    """By row key, in ``unit``; a row that lacks a column has none."""
    marks: Mapping[str, Mark]


def column_marks(table: Table) -> list[Mapping[str, Mark]]:
    """By column, then row key: who is best there. Empty for counters and on boards of more rows than are compared."""
    found: list[Mapping[str, Mark]] = []
    for place in range(len(table.board.columns)):
        cells = {row.key: cell for row in _compared(table) if (cell := row.cells[place]) is not None}
        found.append({} if table.board.columns[place].counter else _marks(table, cells, [(place, 1.0)]))
    return found


def categories(table: Table) -> list[Category]:
    """The groups that have a column that counts, in the board's order; of fewer than two nothing is to be told."""
    groups: dict[str, list[int]] = {}
    for place, column in enumerate(table.board.columns):
        if column.weight and column.group and column.counter is None:
            groups.setdefault(column.group, []).append(place)
    found = [made for title, places in groups.items() if (made := _category(table, title, places)) is not None]
    shown = any(row.status == table.ranked and row.key in one.means for one in found for row in table.rows)
    return found if len(found) > 1 and shown else []


def _category(table: Table, title: str, places: Sequence[int]) -> Category | None:
    """The mean over the columns of one unit, the first one's: shares and BLEU have no common mean."""
    first = {place: next((row.cells[place] for row in table.rows if row.cells[place]), None) for place in places}
    known = [(place, cell) for place, cell in first.items() if cell is not None]
    if not known:
        return None
    unit, rising = known[0][1].unit, known[0][1].higher_is_better
    alike = [place for place, cell in known if (cell.unit, cell.higher_is_better) == (unit, rising)]
    total = sum(table.board.columns[place].weight for place in alike)
    weights = [(place, table.board.columns[place].weight / total) for place in alike]
    means = {
        row.key: sum(weight * cell.shown for (_, weight), cell in zip(weights, cells, strict=True) if cell)
        for row in table.rows
        if all(cells := [row.cells[place] for place in alike])
    }
    compared = {row.key: row.cells[alike[0]] for row in _compared(table) if row.key in means}
    marks = _marks(table, {key: cell for key, cell in compared.items() if cell}, weights)
    return Category(title, unit, tuple(table.board.columns[place].title for place in alike), means, marks)


def _compared(table: Table) -> list[Row]:
    rows = [row for row in table.rows if row.status == table.ranked]
    return rows if 1 < len(rows) <= MOST_COMPARED else []


def _marks(table: Table, cells: Mapping[str, Cell], weights: Sequence[tuple[int, float]]) -> dict[str, Mark]:
    """Of rows with a value in all of the weighted columns."""
    rows = [row for row in table.rows if row.key in cells]
    if len(rows) < 2:
        return {}
    rising = next(iter(cells.values())).higher_is_better
    places = ranks([_standing(table, row, weights) for row in rows], falling=not rising).best
    first = [row.key for row, place in zip(rows, places, strict=True) if place == 1]
    return dict.fromkeys(first, "best" if len(first) == 1 else "tied")


def _standing(table: Table, row: Row, weights: Sequence[tuple[int, float]]) -> Standing:
    score, variance = 0.0, 0.0
    parts: list[Counted] = []
    known = True
    for place, weight in weights:
        cell = row.cells[place]
        assert cell is not None
        score += weight * cell.shown
        variance += (weight * cell.error) ** 2
        known &= bool(cell.error)
        parts += counted_of(table.board, place, cell, weight, table.found)
    return Standing(score, variance**0.5 if known else 0.0, tuple(parts) if len(parts) == len(weights) else ())


def mean_text(one: Category, key: str, decimals: int = 1) -> str:
    """A row's mean as it is shown."""
    return numbers.mean(one.means.get(key), decimals)
