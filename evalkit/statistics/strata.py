"""A weighted sum of the means of few items in several tasks: one unseen item for all of them, in the mid-p form.

The counterpart of `bounded` for strata. Every task's mean gets random weights on the values that were seen (a flat
Dirichlet distribution), and the whole sum one unseen item at the lower or the upper end, in the task whose items weigh
most. So do Fay and Feuer (1997, Statistics in Medicine 16:791) for weighted sums of rates, whose mid-p form (Fay and
Kim 2017, Biometrical Journal 59:549) is the mean of both cases; an unseen item in each of 57 tasks would bury what was
seen. One task: `bounded.bounded_mean`.

With c_k the tasks' means in the fit by maximum likelihood under the null (`score`), P(sum <= null) is that of
sum_k w_k / n_k sum_i (x_i - c_k) G_i <= 0, G independent gamma variables: exact for one task, and for more the first
order about the saddlepoint of Lugannani and Rice (1980), which is that fit's multiplier.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.statistics.bounded import lugannani_rice
from evalkit.statistics.inference import FromTails, Range
from evalkit.statistics.score import normaliser

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Whole = NDArray[np.int64]


NEAR = 1e-8
"""Of the whole range: nulls closer to the estimate are told apart from it by no fit."""


@dataclass(frozen=True, eq=False)
class WeightedMeans(FromTails):
    """The mid-p inference on sum(weight * mean of stratum), between ``low`` and ``high``: the same sum with the unseen
    item at either end.
    """

    value: float
    stderr: float | None
    n: int
    low: RandomWeights
    high: RandomWeights
    span: Range
    method: str = "gaffke"

    def tails(self, null: float) -> Range:
        """See `Inference.tails`."""
        at_most = (self.low.mass_below(null) + self.high.mass_below(null)) / 2
        return 1 - at_most, at_most


@dataclass(frozen=True, eq=False)
class RandomWeights:
    """The sum over strata of weight times the mean of ``points`` under Dirichlet weights of ``shapes``."""

    points: Vector
    shapes: Vector
    strata: Whole
    weights: Vector

    def mass_below(self, null: float) -> float:
        """P(sum <= null)."""
        import numpy as np

        count = len(self.weights)
        inside = [self.points[self.strata == one] for one in range(count)]
        least, most = (np.array([end(own) for own in inside]) for end in (np.min, np.max))
        low, high = float(self.weights @ least), float(self.weights @ most)
        slack = 1e-12 * max(1.0, high - low)
        if null <= low + slack or null >= high - slack:
            return float(null >= high - slack)
        totals = np.bincount(self.strata, self.shapes, count)
        means = np.bincount(self.strata, self.shapes * self.points, count) / totals
        squares = np.bincount(self.strata, self.shapes * (self.points - means[self.strata]) ** 2, count)
        distance = float(self.weights @ means) - null
        if abs(distance) < NEAR * (high - low):
            null, distance = null + distance - NEAR * (high - low), NEAR * (high - low)
        side = math.copysign(1.0, distance)
        # Seen from the end that the null lies toward, all values are distances from it.
        gaps = (self.points - least[self.strata]) if side > 0 else (most[self.strata] - self.points)
        pull = self.weights / totals
        masses = self.shapes / totals[self.strata]
        reach = abs(null - (low if side > 0 else high))

        pulled = _pulled(gaps, masses, pull, self.weights, self.strata, reach)
        multiplier = math.exp(decreasing_root(pulled, math.log(distance * side / float(pull**2 @ squares))))
        slants = multiplier * pull[self.strata] * gaps
        rooms = normaliser(masses, slants, self.strata, count)[self.strata] + slants
        centres = np.bincount(self.strata, masses / rooms * gaps, count)
        ratio = side * pull[self.strata] * (gaps - centres[self.strata]) / rooms
        cumulant = -float(self.shapes @ np.log(rooms))
        second, third = float(self.shapes @ ratio**2), 2 * float(self.shapes @ ratio**3)
        return lugannani_rice(-side * multiplier, cumulant, second, third)


def _pulled(
    gaps: Vector, masses: Vector, pull: Vector, weights: Vector, strata: Whole, reach: float
) -> Callable[[float], Range]:
    """The fitted sum of ``gaps`` less ``reach`` as a function of the multiplier's logarithm, and its derivative."""
    import numpy as np

    steps, count = pull[strata] * gaps, len(weights)

    def found(log: float) -> Range:
        multiplier = math.exp(log)
        room = normaliser(masses, multiplier * steps, strata, count)[strata] + multiplier * steps
        fitted = masses / room
        each = fitted / room
        shift = np.bincount(strata, each * steps, count) / np.bincount(strata, each, count)
        slope = weights @ np.bincount(strata, each * gaps * (shift[strata] - steps), count)
        return float(weights @ np.bincount(strata, fitted * gaps, count)) - reach, multiplier * float(slope)

    return found


def decreasing_root(function: Callable[[float], Range], start: float) -> float:
    """Where a decreasing function, given with its derivative, is zero: Newton's method, halving where it strays."""
    low, high, x = -math.inf, math.inf, start
    for _ in range(200):
        value, slope = function(x)
        low, high = (x, high) if value > 0 else (low, x)
        new = x - value / slope if slope < 0 else math.inf
        if not max(low, x - 3) < new < min(high, x + 3):
            finite = math.isfinite(low) and math.isfinite(high)
            new = (low + high) / 2 if finite else x + (3.0 if value > 0 else -3.0)
        if abs(new - x) < 1e-9 or high - low < 1e-12:
            return new
        x = new
    return x


def weighted_means(
    points: Vector, shapes: Vector, strata: Whole, weights: Vector, span: Range, n: int, stderr: float | None = None
) -> WeightedMeans:
    """The inference on the sum over strata of weight times mean.

    ``points``: distinct values, all within ``span``; ``shapes`` of each: how often it was seen, less where items tell
    less than independent ones; ``strata`` their stratum (0, 1, ... of ``weights``, each with a value); ``n`` items.
    """
    import numpy as np

    totals = np.bincount(strata, shapes, len(weights))
    heavy, total = int(np.argmax(weights / totals)), float(weights.sum())
    low, high = (
        RandomWeights(np.append(points, end), np.append(shapes, 1.0), np.append(strata, heavy), weights) for end in span
    )
    value = float(weights @ (np.bincount(strata, shapes * points, len(weights)) / totals))
    return WeightedMeans(value, stderr, n, low, high, (total * span[0], total * span[1]))
