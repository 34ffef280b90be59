"""Ranks of a board's rows: which rows are surely better, all pairs taken together.

Rows whose runs kept their samples are compared on the same items, by `analysis.decision`'s instruments, and not told
apart where these can judge nothing; others (entries, published numbers) by the standard errors of both, as if they had
answered different items.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.analysis.compare import Options, RunComparison, compare_scores
from evalkit.analysis.instruments import Part, average_difference
from evalkit.analysis.pairing import pairs_of
from evalkit.analysis.scores import RunScores, scores_of_run
from evalkit.contract.errors import UserError
from evalkit.statistics.inference import Inference, Shifted, Unknown
from evalkit.statistics.ranks import Pairwise, Ranks, joint_alpha, ranks_of_pairs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

FAR = 8.0
"""Standard errors of both rows together beyond which nothing needs to be paired."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What a cell contributes to its row's score: ``weight`` times the metric in its own unit, of ``run``'s task or
    group. ``run``: the run directory, None where there is none.
    """

    task: str
    metric: str
    weight: float
    run: Path | None


@dataclass(frozen=True, slots=True)
class Standing:
    """A row's score, its standard error (0: not known) and what it is made of (empty: nothing that can be paired)."""

    score: float
    error: float
    parts: tuple[Counted, ...] = ()


def ranks(rows: Sequence[Standing], falling: bool = False) -> Ranks:
    """Ranks of rows by score (``falling``: lower is better). A row's rank lies between 1 + the rows that are surely
    better and all rows - those that are surely worse; rows without errors are told apart by their scores alone.

    A score that is one metric of two runs is never told apart where `evalkit compare` of the two shows no difference.
    """
    found = pairwise(rows, Scores(), falling)
    return ranks_of_pairs(found.gaps, found.p_values, joint_alpha(found.covariance))


def pairwise(rows: Sequence[Standing], scores: Scores, falling: bool = False) -> Pairwise:
    """All pairs of ``rows`` (``falling``: lower is better)."""
    import numpy as np

    count, errors = len(rows), np.array([row.error for row in rows])
    gaps, p_values, covariance = np.zeros((count, count)), np.ones((count, count)), np.diag(errors**2)
    for i in range(count):
        for j in range(i):
            gap, p_value, variance = _pair(rows[i], rows[j], scores)
            gaps[i, j], gaps[j, i] = (-gap, gap) if falling else (gap, -gap)
            p_values[i, j] = p_values[j, i] = p_value
            if variance is not None:
                covariance[i, j] = covariance[j, i] = (rows[i].error ** 2 + rows[j].error ** 2 - variance) / 2
    return Pairwise(gaps, p_values, covariance, (errors[:, None] == 0) & (errors[None, :] == 0))


class Scores:
    """Runs' items, read when they are first asked for."""

    def __init__(self) -> None:
        self.of: Callable[[Path], RunScores | None] = lru_cache(maxsize=None)(_read)
        self.compared: Callable[[Path, Path], RunComparison | None] = lru_cache(maxsize=None)(self._compare)

    def _compare(self, base: Path, candidate: Path) -> RunComparison | None:
        one, other = self.of(base), self.of(candidate)
        if one is None or other is None:
            return None
        try:
            return compare_scores(one, other, Options(allow_mismatch=True, details=False))
        except UserError:  # they share no task
            return None


def _read(run: Path) -> RunScores | None:
    try:
        return scores_of_run(run)
    except UserError:  # a run without samples
        return None


def _pair(row: Standing, other: Standing, scores: Scores) -> tuple[float, float, float | None]:
    """(``row`` less ``other``, two-sided p-value, variance of the difference where it is paired)."""
    gap, error = row.score - other.score, math.hypot(row.error, other.error)
    if row.error == 0 or other.error == 0 or abs(gap) < FAR * error:
        found = _paired(row, other, scores)
        if isinstance(found, Unknown):
            return gap, 1.0, None
        if found is not None:
            refused = len(row.parts) == 1 and not _shown(row.parts[0], other.parts[0], scores)
            p_value = 1.0 if refused else found.p_value()
            return found.value, p_value, None if found.stderr is None else found.stderr**2
    if error == 0:
        return gap, 0.0 if abs(gap) > 1e-9 else 1.0, None
    return gap, math.erfc(abs(gap) / error / math.sqrt(2)), None


def _shown(one: Counted, base: Counted, scores: Scores) -> bool:
    """Whether `evalkit compare` shows a difference in this metric; True where it is none of the primary ones."""
    assert one.run is not None
    assert base.run is not None
    compared = scores.compared(*sorted((base.run, one.run)))
    rows = [row for row in compared.metrics if (row.task, row.metric) == (one.task, one.metric)] if compared else []
    return not rows or any(row.verdict in ("better", "worse") for row in rows)


def _paired(row: Standing, other: Standing, scores: Scores) -> Inference | None:
    """``row`` less ``other`` on the items that both answered; None where some part has no such items, `Unknown` where
    nothing can be said of them.
    """
    parts: list[Part] = []
    weights: list[float] = []
    if not row.parts or [(one.task, one.metric) for one in row.parts] != [
        (one.task, one.metric) for one in other.parts
    ]:
        return None
    for one, base in zip(row.parts, other.parts, strict=True):
        runs = [None if side.run is None else scores.of(side.run) for side in (base, one)]
        found = None if runs[0] is None or runs[1] is None else _parts(runs[0], runs[1], one.task, one.metric)
        if found is None:
            return None
        total = sum(len(part.a) for part in found)
        parts += found
        weights += [one.weight * len(part.a) / total for part in found]
    try:
        alone = parts[0].inference() if len(parts) == 1 and weights[0] > 0 else None
        inference = average_difference(parts, weights) if alone is None else Shifted(alone, 0.0, weights[0])
    except UserError as error:
        return Unknown(row.score - other.score, sum(len(part.a) for part in parts), str(error))
    equal = all(part.a == part.b for part in parts)
    if not inference.reason or equal:
        return inference
    return Unknown(inference.value, inference.n, inference.reason)


def _parts(base: RunScores, run: RunScores, name: str, metric: str) -> list[Part] | None:
    """The paired values of a task, or of all tasks of a group, every item of which weighs the same."""
    names = base.groups.get(name, (name,)) if name not in base.tasks else (name,)
    if name not in base.tasks and set(names) != set(run.groups.get(name, ())):
        return None
    found = []
    for leaf in names:
        one, other = base.tasks.get(leaf), run.tasks.get(leaf)
        if one is None or other is None or metric not in one.series or metric not in other.series:
            return None
        pairs = pairs_of(one, other)
        a, b, kept = pairs.values(one.series[metric], other.series[metric])
        if not kept:
            return None
        found.append(Part(one.series[metric], other.series[metric], a, b, pairs.labels(kept)))
    return found or None
