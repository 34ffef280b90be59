"""Score tests and intervals of bounded means: Wilson's and Tango's, carried over to any values and to strata.

The estimate is a weighted sum of the means of strata (one stratum: a plain mean), of values in [low, high]. At a null
value, the distributions of all strata are fitted by maximum likelihood under the restriction that the sum has that
value: weights on the values that were seen and, where the null asks for it, on an unseen end (nonparametric likelihood,
Owen, Empirical Likelihood, 2001, sections 2.9 and 11.4). The score is the estimate's distance from the null over the
standard error under the fit. For zeros and ones in one stratum this is Wilson's interval (1927); for paired differences
-1, 0 and 1 it is Tango's (1998); for strata of shares it is the stratified score interval. Because the variance is that
of the null, values that never vary do not make a certainty.

Items that share a passage enter through their stratum's design effect: it multiplies the variance and divides the
likelihood. Few clusters enter through Student's t with ``freedom`` degrees of freedom in place of the normal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from evalkit.statistics.bounded import saddlepoint
from evalkit.statistics.inference import LEVEL, FromTails, Range, crossing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Whole = NDArray[np.int64]

FAR = 50.0
"""Scores beyond this many standard errors are not told apart."""


@dataclass(frozen=True, eq=False)
class ScoreMean(FromTails):
    """The weighted sum of strata's means. ``points``: distinct values, ``counts`` of each, ``strata`` their stratum.

    ``weights``, ``sizes``, ``deffs``: one a stratum (sizes in items).
    """

    value: float
    stderr: float | None
    n: int
    points: Vector
    counts: Vector
    strata: Whole
    weights: Vector
    sizes: Vector
    deffs: Vector
    span: Range
    freedom: float = math.inf
    method: str = "score"

    @cached_property
    def _reach(self) -> Range:
        """The least and the most that the weighted sum can be."""
        total = float(self.weights.sum())
        return total * self.span[0], total * self.span[1]

    def _fit(self, multiplier: float) -> Range:
        """(null value, standard error under it) of the restricted fit; a positive multiplier pulls the null down."""
        import numpy as np

        slopes = np.abs(multiplier) * self.weights * self.deffs / self.sizes
        low, high = self.span
        y = self.points - low if multiplier > 0 else high - self.points
        masses, t = self.counts / self.sizes[self.strata], slopes[self.strata]
        shift = normaliser(masses, t * y, self.strata, len(self.weights))
        fitted = masses / (shift[self.strata] + t * y)
        means = np.bincount(self.strata, fitted * y, len(self.weights))
        squares = np.bincount(self.strata, fitted * y * y, len(self.weights))
        parts = self.weights**2 * self.deffs * np.maximum(squares - means**2, 0) / self.sizes
        variance = float(parts.sum())
        if variance > 0:
            # The null gives one mean, the sum's; the strata's other means were fitted to the same items.
            free = self.sizes - 1 + parts / variance
            variance = float((parts * self.sizes / np.where(parts > 0, free, 1.0)).sum())
        centre = low + means if multiplier > 0 else high - means
        return float((self.weights * centre).sum()), math.sqrt(variance)

    def _alone(self, null: float) -> float:
        """The standard error of one stratum's mean under ``null`` times its weight, without a search."""
        import numpy as np

        centre, (low, high) = null / float(self.weights[0]), self.span
        gaps, masses = self.points - centre, self.counts / self.sizes[0]
        least, most = 1 / (low - centre), 1 / (high - centre)
        if float(gaps.min()) >= 0:
            s = least
        elif float(gaps.max()) <= 0:
            s = most
        else:
            s = min(max(saddlepoint(gaps, masses), least), most)
        with np.errstate(divide="ignore", invalid="ignore"):
            fitted = np.where(gaps * s < 1, masses / (1 - s * gaps), 0.0)
        # What the values seen do not carry lies on the end that the tilt leans to.
        rest, end = max(1 - float(fitted.sum()), 0.0), (low if s < 0 else high) - centre
        variance = float(fitted @ gaps**2) + rest * end**2
        return float(self.weights[0]) * math.sqrt(float(self.deffs[0]) * variance / float(self.sizes[0]))

    def _score(self, multiplier: float) -> float:
        null, stderr = self._fit(multiplier)
        distance = abs(self.value - null)
        if distance <= 1e-13 * (self.span[1] - self.span[0]):
            return 0.0
        return math.copysign(min(distance / stderr, FAR) if stderr > 0 else FAR, multiplier)

    def _solve(self, side: float, beyond: float, by_score: bool) -> float:
        """log of the multiplier at which the null (or, ``by_score``, the score) has come as far as ``beyond``."""
        from scipy.optimize import brentq

        def short(log: float) -> float:
            if by_score:
                return abs(self._score(side * math.exp(log))) - beyond
            return side * (self.value - self._fit(side * math.exp(log))[0]) - beyond

        low, high = math.log(float(self.sizes.sum())), math.log(float(self.sizes.sum()))
        while short(low) > 0 and low > -60:
            low -= 4
        while short(high) < 0 and high < 60:
            high += 4
        if short(low) > 0 or short(high) < 0:
            return low if short(low) > 0 else high
        return float(brentq(short, low, high, xtol=1e-10, rtol=1e-12))

    def tails(self, null: float) -> Range:
        """See `Inference.tails`."""
        from scipy.stats import t

        low, high = self._reach
        distance = self.value - null
        scale = max(high - low, 1e-300)
        if abs(distance) < 1e-12 * scale:
            score = 0.0
        elif null <= low or null >= high:
            score = math.copysign(FAR, distance)
        elif len(self.weights) == 1:
            score = min(max(distance / max(self._alone(null), 1e-300), -FAR), FAR)
        else:
            side = math.copysign(1.0, distance)
            score = self._score(side * math.exp(self._solve(side, abs(distance), False)))
        return float(t.cdf(score, self.freedom)), float(t.sf(score, self.freedom))

    def interval(self, level: float = LEVEL) -> Range | None:
        """See `Inference.interval`."""
        from scipy.stats import t

        low, high = self._reach
        if len(self.weights) == 1:
            return _between(self, low, high, level)
        scale, need = high - low, float(t.isf((1 - level) / 2, self.freedom))
        ends = []
        for side, limit in ((1.0, low), (-1.0, high)):
            if abs(self.value - limit) < 1e-12 * scale:
                ends.append(limit)
            else:
                ends.append(self._fit(side * math.exp(self._solve(side, need, True)))[0])
        return max(ends[0], low), min(ends[1], high)


def _between(found: ScoreMean, low: float, high: float, level: float) -> Range:
    """The interval by root finding on the tails, which cost no search for one stratum."""
    tail, value = (1 - level) / 2, min(max(found.value, low), high)
    return (
        crossing(lambda null: found.tails(null)[1] - tail, low, value),
        crossing(lambda null: tail - found.tails(null)[0], value, high),
    )


def normaliser(masses: Vector, slants: Vector, strata: Whole, count: int) -> Vector:
    """b >= 0 of each stratum with sum(masses / (b + slants)) = 1, or 0 where even that sum is at most 1: what is
    missing is then the weight of the unseen end. Newton on the harmonic mean, which is concave in b, from the left.
    """
    import numpy as np

    at_end: Vector = np.bincount(strata, np.where(slants <= 0, masses, 0.0), count).astype(float)
    b = at_end.copy()
    b[at_end == 0] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        for _ in range(100):
            inverse = 1 / (b[strata] + slants)
            first = np.bincount(strata, masses * inverse, count)
            second = np.bincount(strata, masses * inverse**2, count)
            step = (first - 1) * first / second
            new = np.maximum(b + np.where(np.isfinite(step), step, 0.0), at_end)
            if np.abs(new - b).max() <= 1e-14:
                return new
            b = new
    return b


def score_mean(
    strata: Sequence[Vector],
    weights: Sequence[float],
    span: Range,
    *,
    deffs: Sequence[float] | None = None,
    freedom: float = math.inf,
    stderr: float | None = None,
    method: str = "score",
) -> ScoreMean:
    """The inference on sum(weight * mean(stratum)); every stratum holds at least one value, all within ``span``."""
    import numpy as np

    points, counts, labels = [], [], []
    for number, values in enumerate(strata):
        own, times = np.unique(values, return_counts=True)
        points.append(own)
        counts.append(times.astype(float))
        labels.append(np.full(len(own), number))
    value = float(sum(weight * float(values.mean()) for weight, values in zip(weights, strata, strict=True)))
    return ScoreMean(
        value,
        stderr,
        sum(len(values) for values in strata),
        np.concatenate(points),
        np.concatenate(counts),
        np.concatenate(labels),
        np.asarray(weights, dtype=float),
        np.array([len(values) for values in strata], dtype=float),
        np.ones(len(strata)) if deffs is None else np.asarray(deffs, dtype=float),
        span,
        freedom,
        method,
    )
