"""Corpus metrics (BLEU, perplexity, corpus F1): a function of sufficient statistics summed over items.

The error is the delete-one jackknife's (Quenouille 1956; Efron and Stein 1981 show that its variance does not fall
short on average), over clusters where items share one, with Student's t. Unlike the percentile bootstrap it is not too
narrow for few items, and its p-values can be as small as Holm's correction over hundreds of tasks asks for.

One run's metric with bounds (BLEU, F1) is judged on the scale of its log odds: on its own scale, few texts of a low
score leave the truth above the interval several times as often as below it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.statistics.choice import interval_for
from evalkit.statistics.inference import LEVEL, Alternative, Inference, Range, Unknown, student

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Matrix = NDArray[np.float64]
    Whole = NDArray[np.int64]

FEWEST = 5
"""Items (or clusters) below which no error is given: their spread says too little of a sum's."""
BLOCKS = 1000
"""Above this many items the jackknife leaves out blocks: a seeded shuffle, so that the work stays bounded."""
UNBOUNDED: Range = (-math.inf, math.inf)


def corpus_estimate(
    table: Matrix,
    aggregate: Callable[[Vector], float],
    *,
    codes: Whole | None = None,
    bounds: Range = UNBOUNDED,
    seed: int = 1234,
) -> Inference:
    """One run's metric: ``aggregate(table.sum(axis=0))``; ``table`` has shape (items, statistics)."""
    return _jackknife(table, aggregate, codes, bounds, seed, _log_odds(bounds))


def corpus_difference(
    base: Matrix,
    candidate: Matrix,
    aggregate: Callable[[Vector], float],
    *,
    codes: Whole | None = None,
    bounds: Range = UNBOUNDED,
    seed: int = 1234,
) -> Inference:
    """Candidate minus base on the same items. ``bounds`` are the metric's; the difference has twice their width."""
    import numpy as np

    if base.shape != candidate.shape or base.ndim != 2:
        raise ValueError(f"a paired corpus metric needs two equal matrices, not {base.shape} and {candidate.shape}")
    width = bounds[1] - bounds[0]
    parts = base.shape[1]

    def difference(sums: Vector) -> float:
        return aggregate(sums[parts:]) - aggregate(sums[:parts])

    return _jackknife(np.hstack([base, candidate]), difference, codes, (-width, width), seed, None)


def _jackknife(
    table: Matrix,
    aggregate: Callable[[Vector], float],
    codes: Whole | None,
    bounds: Range,
    seed: int,
    scale: LogOdds | None,
) -> Inference:
    import numpy as np

    n, total = len(table), table.sum(axis=0)
    value = float(aggregate(total))
    pieces = _pieces(n, codes, seed)
    count = int(pieces.max()) + 1 if n else 0
    if count < FEWEST:
        return _too_few(value, n, codes)
    sums: Matrix = np.stack([np.bincount(pieces, column, count).astype(float) for column in table.T], axis=1)
    left = np.array([aggregate(total - piece) for piece in sums])
    return _of_left(value, left, n, bounds, _weight(sums), scale)


def _too_few(value: float, n: int, codes: Whole | None) -> Unknown:
    what = "items" if codes is None else "clusters"
    return Unknown(value, n, f"a corpus metric needs at least {FEWEST} {what} for an interval")


def _of_left(
    value: float, left: Vector, n: int, bounds: Range, weight: float, scale: LogOdds | None = None
) -> Inference:
    """The inference from the metric's values with one piece left out each; shape [pieces]."""
    import numpy as np

    count = len(left)
    if not np.isfinite(left).all():
        return Unknown(value, n, "the metric is not finite without one of the items")
    stderr = math.sqrt((count - 1) / count * float(((left - left.mean()) ** 2).sum()))
    if stderr <= 1e-12 * max(1.0, abs(value)) and math.isfinite(bounds[1] - bounds[0]):
        # Every item says the same (100 against 0, or 100 and 100): as sure as that many equal values within the bounds.
        return interval_for(np.full(count, value), bounds=bounds)
    if scale is not None and bounds[0] < min(value, left.min()) and max(value, left.max()) < bounds[1]:
        there = _of_left(scale.to(value), np.array([scale.to(one) for one in left]), n, UNBOUNDED, weight)
        return there if there.reason else OnScale(value, stderr, n, there, scale)
    freedom = min(_freedom(left), weight)
    return student(value, stderr, freedom, n, f"jackknife-t|pieces:{count}", bounds)


@dataclass(frozen=True, slots=True)
class LogOdds:
    """log((x - low) / (high - x)) of a metric within ``low`` and ``high``; log(x - low) where it has no upper end."""

    low: float
    high: float

    def to(self, value: float) -> float:
        """On the scale; ``value`` lies between the ends."""
        return math.log(value - self.low) - (0.0 if math.isinf(self.high) else math.log(self.high - value))

    def back(self, there: float) -> float:
        """The value at a place on the scale."""
        if math.isinf(self.high):
            return self.low + math.exp(min(there, 700.0))
        return self.low + (self.high - self.low) / (1 + math.exp(min(-there, 700.0)))


def _log_odds(bounds: Range) -> LogOdds | None:
    return None if math.isinf(bounds[0]) else LogOdds(*bounds)


@dataclass(frozen=True, slots=True)
class OnScale:
    """An inference made on another scale, on which the estimate is nearer to normal and cannot leave its bounds."""

    value: float
    stderr: float | None
    n: int
    there: Inference
    scale: LogOdds
    reason: str = ""

    @property
    def method(self) -> str:
        return self.there.method.replace("jackknife-t", "jackknife-log-odds-t")

    def tails(self, null: float) -> Range:
        """See `Inference.tails`."""
        if null <= self.scale.low:
            return 1.0, 0.0
        return (0.0, 1.0) if null >= self.scale.high else self.there.tails(self.scale.to(null))

    def interval(self, level: float = LEVEL) -> Range | None:
        """See `Inference.interval`."""
        found = self.there.interval(level)
        return None if found is None else (self.scale.back(found[0]), self.scale.back(found[1]))

    def p_value(self, null: float = 0.0, alternative: Alternative = "two-sided") -> float:
        """See `Inference.p_value`."""
        less, more = self.tails(null)
        one = min(less, more) * 2 if alternative == "two-sided" else more if alternative == "greater" else less
        return min(1.0, one)


def _pieces(n: int, codes: Whole | None, seed: int) -> Whole:
    """The piece that each item is left out with."""
    import numpy as np

    own = np.arange(n) if codes is None else codes
    count = int(own.max()) + 1 if n else 0
    if count <= BLOCKS:
        return own
    blocks: Whole = np.random.default_rng(seed).permutation(count) % BLOCKS
    return blocks[own]


def _freedom(left: Vector) -> float:
    """Degrees of freedom of the jackknife's variance, from the kurtosis that its own pieces show, at most pieces - 1.

    For normal pieces the mean of sum(d^4) / sum(d^2)^2 is 3 / (n + 1) (the moments of a studentised deviation); a piece
    that stands out makes it larger, and the variance less sure.
    """
    deviations = left - left.mean()
    squares = float((deviations**2).sum())
    if squares <= 0:
        return float(len(left) - 1)
    ratio = float((deviations**4).sum()) / squares**2
    return min(float(len(left) - 1), max(3 / ratio - 2, 1.0))


def _weight(sums: Matrix) -> float:
    """Effective number of pieces less one: 1 / sum(share^2), a piece's share being its mean part of all statistics
    (Kish 1965, Survey Sampling, section 11.7). One text of half the words leaves little to learn the error from.
    """
    import numpy as np

    sizes = np.abs(sums)
    whole = sizes.sum(axis=0)
    shares = (sizes[:, whole > 0] / whole[whole > 0]).mean(axis=1) if (whole > 0).any() else np.ones(1)
    return max(1 / float(shares @ shares) - 1, 1.0)


def items_estimate(
    n: int,
    metric: Callable[[Whole], float],
    *,
    codes: Whole | None = None,
    bounds: Range = UNBOUNDED,
    seed: int = 1234,
) -> Inference:
    """As `corpus_estimate`, of a metric that no sum gives (ROC-AUC): ``metric(rows)`` of the items numbered ``rows``.

    For the difference of two runs on the same items, ``metric`` gives the difference, and ``bounds`` are its own: from
    minus to plus the metric's width.
    """
    import numpy as np

    value, rows = float(metric(np.arange(n))), np.arange(n)
    pieces = _pieces(n, codes, seed)
    count = int(pieces.max()) + 1 if n else 0
    if count < FEWEST:
        return _too_few(value, n, codes)
    left = np.array([metric(rows[pieces != piece]) for piece in range(count)])
    scale = None if bounds[0] < 0 else _log_odds(bounds)
    return _of_left(value, left, n, bounds, _weight(np.bincount(pieces)[:, None].astype(float)), scale)
