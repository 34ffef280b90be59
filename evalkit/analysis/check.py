"""One thing that the gate looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["pass", "regression", "inconclusive", "skipped"]


@dataclass(frozen=True, slots=True)
class Check:
    """``kind``: margin, part, floor, errors, presence, coverage, evidence, complete or performance.

    A "part" is a task below a group or an average that was judged as a whole: its outcome is what it would be by
    itself, and does not count.
    """

    kind: str
    task: str
    metric: str
    outcome: Outcome
    message: str
    base: float | None = None
    candidate: float | None = None
    difference: float | None = None
    interval: tuple[float, float] | None = None
    margin: float | None = None
    n: int | None = None
    items_needed: int | None = None
    """About how many items would tell; never more than the task has."""
    margin_enough: float | None = None
    """The margin for which all items of the task would be enough, where they are not for this one."""

    @property
    def counts(self) -> bool:
        """Whether the gate's outcome depends on it."""
        return self.kind != "part"
