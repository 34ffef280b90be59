"""Entries and a board become rows: which result fills which cell, scores, ranks with ties, win rates.

docs/leaderboards.md tells the rules to readers of a board.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import UserError
from evalkit.leaderboard.agreement import Reference, difference, references
from evalkit.leaderboard.board import Board, Column
from evalkit.leaderboard.collect import Found
from evalkit.leaderboard.entry import Entry, slug
from evalkit.leaderboard.ranking import Counted, Standing, ranks
from evalkit.leaderboard.win_rate import win_rates
from evalkit.statistics.intervals import Z95
from evalkit.statistics.ranks import Ranks
from evalkit.text import numbers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

STATUSES = ("full", "limited", "sample", "published")
"""From the most to the least complete; ranks are among rows of the most complete kind that a board has."""
AVERAGE = "average"
"""The published "task" that stands for a board's own score."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A result in a column, in the metric's own unit (counters: times the column's scale)."""

    value: float
    stderr: float | None
    interval: tuple[float, float] | None
    n: int
    n_total: int
    num_fewshot: int | None
    version: str
    sample: bool
    partial: bool
    proportion: bool
    higher_is_better: bool
    signature: str
    metric: str
    entry: int
    unit: str = ""
    """As it is written behind the number: "%" for shares."""

    @property
    def shown(self) -> float:
        """Shares in percent."""
        return 100 * self.value if self.proportion else self.value

    @property
    def error(self) -> float:
        """The standard error in the unit of `shown`; from the interval where only that is known, or where no item
        varies (at 100 %); 0: not known.
        """
        own = self.stderr
        if not own and self.interval is not None:
            own = (self.interval[1] - self.interval[0]) / (2 * Z95)
        return (own or 0.0) * (100 if self.proportion else 1)


@dataclass(frozen=True, slots=True)
class Row:
    """One model as it was run: precision, quantization and adapters make another row."""

    key: str
    entry: Entry
    """The newest one, whose facts are shown."""
    status: str
    cells: tuple[Cell | None, ...]
    history: tuple[int, ...]
    """All its entries, newest first, as numbers into the table's ``found``."""
    differences: tuple[str, ...] = ()
    """Of a published row, a column each: in what its number differs from the column's; "" where it stands there."""
    score: float | None = None
    error: float = 0.0
    win_rate: float | None = None
    rank: int | None = None
    worst: int | None = None
    """The last place that the errors leave open; ``rank`` is the first."""
    tied: bool = False
    as_published: bool = False
    """The score is the source's own average."""

    @property
    def interval(self) -> tuple[float, float] | None:
        """The score's 95 % interval; of shares alone it ends at 0 and 100 %. None where no error is known."""
        if self.score is None or not self.error:
            return None
        low, high = self.score - Z95 * self.error, self.score + Z95 * self.error
        held = [cell for cell in self.cells if cell is not None]
        shares = all(cell.proportion and min((cell.value, *(cell.interval or ()))) >= 0 for cell in held)
        return (max(0.0, low), min(100.0, high)) if shares and held else (low, high)


@dataclass(frozen=True, slots=True)
class Table:
    """A board filled in. ``by_entry`` has the cells of each entry by itself, for histories."""

    board: Board
    found: tuple[Found, ...]
    rows: tuple[Row, ...]
    by_entry: Mapping[int, tuple[Cell | None, ...]]
    ranked: str
    """The status whose rows are ranked."""
    falling: bool = False
    """Whether the lower score is the better one."""

    @property
    def decimals(self) -> int:
        """Of its scores: one, and three where all columns that count hold numbers of one at most (correlations)."""
        counted = [place for place, column in enumerate(self.board.columns) if column.weight]
        cells = [cell for row in self.rows for place in counted if (cell := row.cells[place]) is not None]
        return 3 if cells and all(not cell.proportion and abs(cell.value) <= 1 for cell in cells) else 1


def build_table(board: Board, found: Sequence[Found]) -> Table:
    """Rows in order of rank, then score, then name. A model without a value in any column has no row."""
    keys = [_key(board, one.entry) for one in found]
    newest: dict[str, int] = {}
    for number, key in enumerate(keys):
        if key not in newest or _age(found[number]) >= _age(found[newest[key]]):
            newest[key] = number
    asked = references(board, [one.entry for one in found])
    by_entry, by_row = _fill(board, found, keys, newest, asked)
    rows = []
    for key, top in newest.items():
        cells = tuple(by_row.get(key, {}).get(column) for column in range(len(board.columns)))
        history = tuple(
            sorted((n for n, other in enumerate(keys) if other == key), key=lambda n: _age(found[n]), reverse=True)
        )
        told = _differences(board, [found[number].entry for number in history], cells, asked)
        if any(cells) or any(told):
            rows.append(Row(key, found[top].entry, _status(found[top].entry, cells), cells, history, told))
    return _rank(board, tuple(found), rows, by_entry)


def _differences(
    board: Board, entries: Sequence[Entry], cells: Sequence[Cell | None], asked: Sequence[Reference]
) -> tuple[str, ...]:
    """A column each; empty for a measured row."""
    if entries[0].kind != "published":
        return ()
    told = []
    for column, cell, reference in zip(board.columns, cells, asked, strict=True):
        results = [one.results[column.task] for one in entries if column.task in one.results]
        told.append("" if cell else next((text for one in results if (text := difference(one, reference))), ""))
    return tuple(told)


def _age(one: Found) -> tuple[str, str]:
    return one.entry.date, one.entry.id


def _key(board: Board, entry: Entry) -> str:
    """Name and hash of what makes a row; hardware too where a column is measured on it."""
    model = entry.model
    facts = [entry.kind, model.name, model.type, model.revision, model.precision, model.quantization, *model.adapters]
    if entry.kind == "published":
        facts.append(entry.source)
    if any(column.counter for column in board.columns):
        facts += [model.backend, entry.hardware]
    return f"{slug(model.name)}-{hashlib.sha256(chr(0).join(facts).encode()).hexdigest()[:8]}"


def _status(entry: Entry, cells: Sequence[Cell | None]) -> str:
    if entry.kind == "published":
        return "published"
    scored = [cell for cell in cells if cell is not None and cell.n_total]
    if any(cell.sample for cell in scored):
        return "sample"
    return "limited" if any(cell.n < cell.n_total or cell.partial for cell in scored) else "full"


# -- which result fills which cell ------------------------------------------------------------------------------------


def _fill(
    board: Board,
    found: Sequence[Found],
    keys: Sequence[str],
    newest: Mapping[str, int],
    asked: Sequence[Reference],
) -> tuple[dict[int, tuple[Cell | None, ...]], dict[str, dict[int, Cell]]]:
    """Cells by entry, and by row: of the newest weights' entries, the fullest result, then the newest.

    A row never mixes two fingerprints: a new checkpoint under an old name starts a new line of results.
    """
    best: dict[tuple[str, int], tuple[Any, Cell]] = {}
    by_entry: dict[int, list[Cell | None]] = {}
    for number, one in enumerate(found):
        entry, key = one.entry, keys[number]
        current = entry.model.fingerprint == found[newest[key]].entry.model.fingerprint
        for place, column in enumerate(board.columns):
            cell = _cell(column, entry, number, asked[place])
            if cell is None:
                continue
            by_entry.setdefault(number, [None] * len(board.columns))[place] = cell
            rank = (not cell.sample, cell.n >= cell.n_total and not cell.partial, entry.date, number)
            if current and ((key, place) not in best or rank > best[key, place][0]):
                best[key, place] = (rank, cell)
    by_row: dict[str, dict[int, Cell]] = {}
    for (key, place), (_, cell) in best.items():
        by_row.setdefault(key, {})[place] = cell
    return {entry: tuple(own) for entry, own in by_entry.items()}, by_row


def _cell(column: Column, entry: Entry, number: int, asked: Reference) -> Cell | None:
    """What ``entry`` has for ``column``; of published results those alone that agree with it."""
    if column.counter is not None:
        value = entry.counters.get(column.counter)
        if value is None:
            return None
        scaled = value * column.scale
        return Cell(scaled, None, None, 0, 0, None, "", False, False, False, column.higher_is_better, "",
                    column.counter, number)  # fmt: skip
    result = entry.results.get(column.task or "")
    if result is None:
        return None
    shots = result.num_fewshot
    if entry.kind == "published" and difference(result, asked):
        return None
    if column.num_fewshot is not None and shots != column.num_fewshot:
        return None
    if column.full and (result.sample or entry.partial or result.n < result.n_total):
        return None
    key = (asked.metric if entry.kind == "published" else column.metric) or result.primary
    score = result.metrics.get(key)
    if score is None or score.value is None:
        return None
    return Cell(
        score.value, score.stderr, score.interval, score.n or result.n, result.n_total, shots, result.version,
        result.sample, entry.partial, score.proportion, score.higher_is_better, score.signature or result.protocol, key,
        number,
        "%" if score.proportion else numbers.unit(score.unit),
    )  # fmt: skip


# -- scores, ranks and win rates --------------------------------------------------------------------------------------


def _rank(board: Board, found: tuple[Found, ...], rows: list[Row], by_entry: Any) -> Table:
    import numpy as np

    weights = np.array(board.weights, float)
    counted = [place for place, weight in enumerate(weights) if weight > 0] or [0]
    if board.score == "column":
        counted = [0]
    rows = [_scored(board, row, counted, weights) for row in rows]
    whole = [row for row in rows if all(row.cells[place] for place in counted)]
    averaged = [row for row in rows if row.as_published]
    ranked = next((status for status in STATUSES if any(row.status == status for row in (*whole, *averaged))), "full")
    pool = _win_rates([row for row in whole if row.status == ranked], counted, board, found)
    if ranked == "published":
        pool += averaged
    by_hardware = board.score == "column" and board.columns[0].counter is not None
    falling = _falling(board, rows, counted)
    _refuse_mixed(board, rows, counted)
    placed: dict[str, Row] = {}
    for hardware in sorted({row.entry.hardware if by_hardware else "" for row in pool}):
        group = [r for r in pool if r.score is not None and (not by_hardware or r.entry.hardware == hardware)]
        if not group:
            continue
        if board.score != "win_rate":
            group = _places(group, falling, lambda row: _parts(board, row, counted, found))
        placed |= {row.key: row for row in group}
    rows = [placed.get(row.key, row) for row in rows]
    sign = 1 if falling else -1
    # Where nothing has a score, what was measured comes before what others published.
    rows.sort(
        key=lambda row: (
            (row.score is None) * (1 + (row.status == "published")),
            sign * (row.score or 0.0),
            row.entry.model.name.lower(),
            row.key,
        )
    )
    return Table(board, found, tuple(rows), by_entry, ranked, falling)


def _falling(board: Board, rows: Sequence[Row], counted: Sequence[int]) -> bool:
    """Whether the lower score is the better one, as the metrics of the columns that make it say. UserError where they
    disagree: a mean of accuracy and perplexity ranks nothing.
    """
    if board.score == "win_rate":
        return False
    rising: dict[int, bool] = {}
    for place in counted:
        cell = next((row.cells[place] for row in rows if row.cells[place]), None)
        if cell is not None:
            rising[place] = cell.higher_is_better
    if len(set(rising.values())) > 1:
        low = ", ".join(board.columns[place].title for place, up in rising.items() if not up)
        raise UserError(
            f"board {board.name}: of {low} less is better, of the other columns more, so their mean ranks nothing: "
            "give one sort weight: 0, or rank by score: win_rate"
        )
    return not all(rising.values())


def _refuse_mixed(board: Board, rows: Sequence[Row], counted: Sequence[int]) -> None:
    """UserError where a mean would add shares and numbers of another unit: percents and nats have no common mean."""
    if board.score in ("win_rate", "column"):
        return
    units: dict[str, str] = {}
    for place in counted:
        cell = next((row.cells[place] for row in rows if row.cells[place]), None)
        if cell is not None and board.columns[place].counter is None and cell.unit not in ("", "percent"):
            units.setdefault(cell.unit, board.columns[place].title)
    if len(units) > 1:
        told = ", ".join(f"{title} in {unit}" for unit, title in units.items())
        raise UserError(
            f"board {board.name}: {told} have no common mean: give one sort weight: 0, or rank by score: win_rate"
        )


def _scored(board: Board, row: Row, counted: Sequence[int], weights: Matrix) -> Row:
    """The weighted mean (or first column) in percent where shares; None where a column is missing."""
    if board.score == "win_rate":
        return row
    cells = [row.cells[place] for place in counted]
    present = [cell for cell in cells if cell is not None]
    if len(present) == len(cells):
        own = [1.0] if board.score == "column" else [float(weights[place]) for place in counted]
        total = sum(own)
        score = sum(weight * cell.shown for weight, cell in zip(own, present, strict=True)) / total
        known = all(cell.error for cell in present)
        error = sum((weight * cell.error) ** 2 for weight, cell in zip(own, present, strict=True)) ** 0.5 / total
        return replace(row, score=score, error=error if known else 0.0)
    average = row.entry.results.get(AVERAGE)
    if row.status == "published" and average is not None and board.score == "mean":
        value = next((score for score in average.metrics.values() if score.value is not None), None)
        if value is not None and value.value is not None:
            return replace(row, score=round(value.value * (100 if value.proportion else 1), 6), as_published=True)
    return row


def _win_rates(pool: list[Row], counted: Sequence[int], board: Board, found: Sequence[Found]) -> list[Row]:
    """Rows with their mean win rates; where the board ranks by these, they are the score, and rows have their ranks."""
    if len(pool) < 2:
        return pool
    by_rate = board.score == "win_rate"
    columns, falling = [], []
    for place in counted:
        cells = [cell for row in pool if (cell := row.cells[place])]
        falling.append(not cells[0].higher_is_better)
        columns.append(
            [
                Standing(cell.shown, cell.error, counted_of(board, place, cell, 1.0, found) if by_rate else ())
                for cell in cells
            ]
        )
    rates = win_rates(columns, falling, ranked=by_rate)
    rows = [replace(row, win_rate=rate) for row, rate in zip(pool, rates.rates, strict=True)]
    if not by_rate:
        return rows
    scored = [
        replace(row, score=100 * rate, error=100 * error)
        for row, rate, error in zip(rows, rates.rates, rates.errors, strict=True)
    ]
    return _placed(scored, rates.ranks)


def counted_of(board: Board, place: int, cell: Cell, weight: float, found: Sequence[Found]) -> tuple[Counted, ...]:
    """What a cell with ``weight`` is made of; empty for counters."""
    task, source = board.columns[place].task, found[cell.entry].source
    if task is None:
        return ()
    scale = 100 if cell.proportion else 1
    return (Counted(task, cell.metric, scale * weight, source if source.is_dir() else None),)


def _parts(board: Board, row: Row, counted: Sequence[int], found: Sequence[Found]) -> tuple[Counted, ...]:
    """What a row's score is made of, where it is one metric or a mean of metrics that runs were measured by."""
    if row.as_published:
        return ()
    weights = [1.0] if board.score == "column" else [board.weights[place] for place in counted]
    parts: list[Counted] = []
    for place, weight in zip(counted, weights, strict=True):
        cell = row.cells[place]
        own = () if cell is None else counted_of(board, place, cell, weight / sum(weights), found)
        if not own:
            return ()
        parts += own
    return tuple(parts)


def _places(group: Sequence[Row], falling: bool, parts: Callable[[Row], tuple[Counted, ...]]) -> list[Row]:
    """Rank = 1 + the rows that are surely better; ``worst`` is the last place that a row may have (`ranking.ranks`)."""
    return _placed(group, ranks([Standing(row.score or 0.0, row.error, parts(row)) for row in group], falling))


def _placed(group: Sequence[Row], found: Ranks) -> list[Row]:
    return [
        replace(row, rank=best, worst=worst, tied=found.best.count(best) > 1)
        for row, best, worst in zip(group, found.best, found.worst, strict=True)
    ]
