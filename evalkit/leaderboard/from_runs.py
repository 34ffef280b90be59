"""A board of the tasks that entries have, and what entries lack for a board."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evalkit.contract.errors import UserError
from evalkit.leaderboard.board import Board, Column
from evalkit.leaderboard.collect import Found
from evalkit.leaderboard.entry import Entry, Result, Score
from evalkit.leaderboard.table import Table

SHOWN = 12
"""Columns that are seen at first; more can be chosen."""


def own_board(found: Sequence[Found]) -> Board:
    """A board with a column for every task, or group of a benchmark's parts, and number of shots that measured entries
    have. Rows are ranked by the mean where all are shares of which more is better, else by the mean win rate.

    Raises UserError where no entry has a result.
    """
    results = {(name, one.num_fewshot): one for name, one in _all(found)}
    names = {name for name, _ in results}
    kept = {key: one for key, one in results.items() if not _is_part(key[0], names)}
    if not kept:
        raise UserError("leaderboard: nothing to show: the runs have no result of any task")
    shots: dict[str, set[int | None]] = {}
    for name, number in kept:
        shots.setdefault(name, set()).add(number)
    columns = tuple(
        Column(
            title=(name if len(shots[name]) == 1 else f"{name} {_shots(number)}")[:60],
            task=name,
            num_fewshot=number if len(shots[name]) > 1 else None,
            hidden=place >= SHOWN,
        )
        for place, (name, number) in enumerate(kept)
    )
    scores = [score for one in kept.values() if (score := _primary(one)) is not None]
    alike = all(score.proportion and score.higher_is_better for score in scores)
    return Board(
        name="runs",
        title="Runs",
        description="Every task of the runs, by its primary metric.",
        columns=columns,
        score="mean" if alike else "win_rate",
    )


def lacking(table: Table) -> list[str]:
    """A line for each entry that has no row, and for each row without a rank because columns are missing."""
    board = table.board
    shown = {number for row in table.rows for number in row.history}
    lines = [
        f"not on the board: {_called(one)}: {_reasons(board, one.entry, board.columns)}"
        for number, one in enumerate(table.found)
        if number not in shown and one.entry.kind != "published"
    ]
    for row in table.rows:
        missing = [column for column, cell in zip(board.columns, row.cells, strict=True) if cell is None]
        if row.status != "published" and missing and row.rank is None:
            one = table.found[row.history[0]]
            have = len(board.columns) - len(missing)
            lines.append(
                f"not ranked: {_called(one)} has {have} of {len(board.columns)} columns: "
                f"{_reasons(board, one.entry, missing)}"
            )
    return lines


def _all(found: Sequence[Found]) -> Iterator[tuple[str, Result]]:
    for one in found:
        if one.entry.kind != "published":
            yield from one.entry.results.items()


def _is_part(name: str, names: set[str]) -> bool:
    return any(name.startswith((f"{other}_", f"{other}:")) for other in names if other != name)


def _primary(one: Result) -> Score | None:
    return one.metrics.get(one.primary)


def _called(one: Found) -> str:
    return f"{one.entry.model.name} ({one.source})"


def _reasons(board: Board, entry: Entry, columns: Sequence[Column]) -> str:
    found: dict[str, list[str]] = {}
    for column in columns:
        found.setdefault(_reason(column, entry), []).append(column.task or column.counter or column.title)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in found.items())


def _reason(column: Column, entry: Entry) -> str:
    if column.counter is not None:
        return "not measured"
    result = entry.results.get(column.task or "")
    if result is None:
        return "not run"
    if column.num_fewshot is not None and result.num_fewshot != column.num_fewshot:
        return f"run {_shots(result.num_fewshot)}, the board has {_shots(column.num_fewshot)}"
    if column.full and (result.sample or entry.partial or result.n < result.n_total):
        return "not the full set"
    key = column.metric or result.primary
    score = result.metrics.get(key)
    return f"no metric {key}" if score is None else "no value" if score.value is None else "another entry is newer"


def _shots(number: int | None) -> str:
    return "with several numbers of shots" if number is None else f"{number}-shot"
