"""What there is to judge by: the items of two runs, task by task, and why a task cannot be judged at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from evalkit.analysis.scores import RunScores, TaskScores

LEAST_ITEMS = 2
"""Items that both runs must have scored: of one item there is no spread."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The items of one task in two runs, counted by its primary metric (the baseline's).

    ``matched`` items are in both runs. ``lost`` ones have a value in the baseline and, though matched, none in the
    candidate. ``reason`` says why the task cannot be judged; "" where it can.
    """

    task: str
    base: int = 0
    candidate: int = 0
    matched: int = 0
    both_scored: int = 0
    lost: int = 0
    base_unscored: int = 0
    candidate_unscored: int = 0
    base_errors: int = 0
    candidate_errors: int = 0
    reason: str = ""

    @property
    def unmatched_share(self) -> float:
        """Share of the baseline's items that the candidate does not have."""
        return (self.base - self.matched) / self.base if self.base else 0.0

    @property
    def lost_share(self) -> float:
        """Share of the matched items that the baseline has a value of and the candidate has not, errors left out:
        these have a ceiling of their own.
        """
        return max(0, self.lost - self.candidate_errors) / self.matched if self.matched else 0.0


def coverage(base: RunScores, candidate: RunScores) -> tuple[Coverage, ...]:
    """Every task of either run, the baseline's first."""
    names = dict.fromkeys([*base.tasks, *candidate.tasks])
    return tuple(_of(name, base.tasks.get(name), candidate.tasks.get(name)) for name in names)


def _of(name: str, base: TaskScores | None, candidate: TaskScores | None) -> Coverage:
    if base is None or candidate is None:
        present = base or candidate
        assert present is not None
        counts = (len(present.keys), 0) if base else (0, len(present.keys))
        return Coverage(name, *counts, reason=f"only the {'baseline' if base else 'candidate'} ran it")
    place = {key: index for index, key in enumerate(candidate.keys)}
    matched = [(index, place[key]) for index, key in enumerate(base.keys) if key in place]
    one, other = base.series.get(base.primary), candidate.series.get(base.primary)
    pairs = [(one.values[i] if one else None, other.values[j] if other else None) for i, j in matched]
    both = sum(a is not None and b is not None for a, b in pairs)
    return Coverage(
        task=name,
        base=len(base.keys),
        candidate=len(candidate.keys),
        matched=len(matched),
        both_scored=both,
        lost=sum(a is not None and b is None for a, b in pairs),
        base_unscored=base.n_unscored,
        candidate_unscored=candidate.n_unscored,
        base_errors=base.n_error,
        candidate_errors=candidate.n_error,
        reason=_reason(base, candidate, len(matched), both),
    )


def _reason(base: TaskScores, candidate: TaskScores, matched: int, both: int) -> str:
    if base.primary != candidate.primary:
        return f"its primary metric is {base.primary} in the baseline and {candidate.primary} in the candidate"
    if not matched:
        parts = any(task.n_total is not None and task.n < task.n_total for task in (base, candidate))
        why = ": limited or partial runs, of other items" if parts else ""
        return f"no item of the baseline ({len(base.keys):,}) is among the candidate's ({len(candidate.keys):,}){why}"
    for side, task in (("baseline", base), ("candidate", candidate)):
        series = task.series.get(base.primary)
        if series is None or all(value is None for value in series.values):
            return f"the {side} has no value of {base.primary} for any item"
    if both < LEAST_ITEMS:
        return f"{both} of {matched:,} shared items {'has' if both == 1 else 'have'} a value in both runs"
    return ""


def unjudged(judged: Iterable[str], found: Iterable[Coverage], wanted: Iterable[str]) -> list[tuple[str, str]]:
    """(task, why) of the wanted tasks that no test looked at."""
    reasons, done = {one.task: one.reason for one in found}, set(judged)
    return [
        (name, reasons.get(name) or "there is no paired test for its primary metric")
        for name in wanted
        if name not in done
    ]
