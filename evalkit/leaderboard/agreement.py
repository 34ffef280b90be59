"""When a published number may stand beside a measured one: the same task, metric and shots, measured in the same way.

Where they do not agree, the cell says in what they differ and holds no number. One rule for boards and for reports.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from evalkit.leaderboard.board import Board, Column
from evalkit.leaderboard.entry import Entry, Result

Shots = Collection[int | None]


@dataclass(frozen=True, slots=True)
class Reference:
    """What a column's numbers are: of this metric ("": any), of these numbers of shots (empty: any)."""

    metric: str
    shots: Shots
    protocols: Collection[str] = ()
    """How the measured numbers were made, where they say so (by which judge)."""


def references(board: Board, entries: Sequence[Entry]) -> tuple[Reference, ...]:
    """A reference a column: what the board says, and where it leaves that open, what its measured entries have."""
    measured = [entry for entry in entries if entry.kind != "published"]
    return tuple(_reference(column, measured) for column in board.columns)


def _reference(column: Column, measured: Sequence[Entry]) -> Reference:
    results = [found for entry in measured if (found := entry.results.get(column.task or "")) is not None]
    metric = column.metric or next((result.primary for result in results), "")
    if column.num_fewshot is not None:
        return Reference(metric, (column.num_fewshot,))
    known = [result for result in results if metric in result.metrics]
    protocols = {result.protocol for result in known if result.protocol}
    return Reference(metric, {result.num_fewshot for result in known}, protocols)


def difference(published: Result, reference: Reference) -> str:
    """In what a published result differs from the reference, in a few words; "" where it agrees.

    Shots that the source does not state agree with nothing but a reference that takes any.
    """
    if published.differs:
        return published.differs
    metric = reference.metric
    if metric and metric not in published.metrics:
        known = [_plain(key) for key in published.metrics]
        more = f" and {len(known) - 2} more" if len(known) > 2 else ""
        return f"{', '.join(known[:2])}{more}, not {_plain(metric)}"
    if reference.protocols and published.protocol not in reference.protocols:
        return published.protocol or "protocol not stated"
    if not reference.shots:
        return ""
    if published.num_fewshot is None:
        return "shots not stated"
    if published.num_fewshot in reference.shots:
        return ""
    wanted = sorted(number for number in reference.shots if number is not None)
    other = " or ".join(f"{number}-shot" for number in wanted) or "several numbers of shots"
    return f"{published.num_fewshot}-shot, not {other}"


def _plain(key: str) -> str:
    return key.removesuffix(",none")
