"""Means of values that cannot leave [low, high], however few they are: Gaffke's bound, order-free and deterministic.

The lower confidence bound of n values is the alpha quantile of the mean under random weights: n + 1 uniform spacings
(a flat Dirichlet), one for each value and one for an unseen value at the lower end; the upper bound puts the unseen
value at the upper end (Gaffke 2005; Learned-Miller and Thomas 2019, arXiv 1905.06208; a proof for a close relative is
in Phan, Thomas and Learned-Miller 2021, arXiv 2106.03163). For zeros and ones it is exactly Clopper and Pearson's
(1934); halving the weight of the unseen value's two cases, as the mid-p-value does, gives mid-p (Lancaster 1961).

Items that share a passage count for less: every value's weight gets the gamma shape 1 / deff in place of 1, where deff
is the design effect. For zeros and ones that is Korn and Graubard's interval (1998, Survey Methodology 24).

P(weighted mean <= m) = P(sum of (x_i - m) G_i <= 0) with independent gamma variables G_i; it comes from the
saddlepoint approximation of Lugannani and Rice (1980).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.statistics.inference import FromTails, Range

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BoundedMean(FromTails):
    """The mean of ``points`` (distinct values) seen ``counts`` times each, all within ``span``.

    ``deff`` >= 1: how many items tell as much as one independent item. ``mid_p``: the shorter, not strictly
    conservative form for shares.
    """

    value: float
    stderr: float | None
    n: int
    points: Vector
    counts: Vector
    span: Range
    deff: float = 1.0
    mid_p: bool = False
    method: str = "gaffke"

    def tails(self, null: float) -> tuple[float, float]:
        """See `Inference.tails`."""
        low, high = self.span
        at_least = 1 - mass_below(self.points, self.counts / self.deff, null, high)
        at_most = mass_below(self.points, self.counts / self.deff, null, low)
        if self.mid_p:
            both = (at_most + 1 - at_least) / 2
            return 1 - both, both
        return at_least, at_most


def bounded_mean(
    values: Vector, span: Range, *, deff: float = 1.0, mid_p: bool = False, method: str = "gaffke"
) -> BoundedMean:
    """The inference on the mean of ``values`` (at least one, all within ``span``)."""
    import numpy as np

    n = len(values)
    points, counts = np.unique(values, return_counts=True)
    stderr = float(np.std(values, ddof=1)) * math.sqrt(deff / n) if n > 1 else None
    return BoundedMean(float(values.mean()), stderr, n, points, counts.astype(float), span, deff, mid_p, method)


FEW = 6
"""Distinct values up to which plain floats are faster than arrays: shares and their differences."""


TINY = 1e-80
"""Differences this much smaller than the largest are none: their cubes and inverses leave the range of floats."""


def mass_below(points: Vector, shapes: Vector, m: float, unseen: float) -> float:
    """P(weighted mean <= m): gamma weights of ``shapes`` on ``points``, and of shape 1 on ``unseen``."""
    import numpy as np

    if len(points) < FEW:
        pairs = [*zip((points - m).tolist(), shapes.tolist(), strict=True), (unseen - m, 1.0)]
        largest = max(abs(gap) for gap, _ in pairs)
        if not TINY < largest < 1 / TINY:  # the probability does not know units
            pairs = [(gap / largest if largest else 0.0, shape) for gap, shape in pairs]
            largest = 1.0
        kept = [(gap, shape) for gap, shape in pairs if abs(gap) > TINY * largest]
        gaps, weights = [gap for gap, _ in kept], [shape for _, shape in kept]
        if not gaps or max(gaps) < 0:
            return 1.0
        return 0.0 if min(gaps) > 0 else _few_below_zero(gaps, weights)
    every = np.append(points - m, unseen - m)
    largest = float(np.abs(every).max())
    if not TINY < largest < 1 / TINY:
        every, largest = every / largest, 1.0
    told = np.abs(every) > TINY * largest
    held, counted = every[told], np.append(shapes, 1.0)[told]
    if not len(held) or held.max() < 0:
        return 1.0
    return 0.0 if held.min() > 0 else _sum_below_zero(held, counted)


def _few_below_zero(gaps: list[float], shapes: list[float]) -> float:
    """As `_sum_below_zero`."""
    s = _few_saddlepoint(gaps, shapes)
    cumulant = second = third = 0.0
    for gap, shape in zip(gaps, shapes, strict=True):
        room = 1 - s * gap
        ratio = gap / room
        cumulant -= shape * math.log(room)
        second += shape * ratio * ratio
        third += 2 * shape * ratio**3
    return lugannani_rice(s, cumulant, second, third)


def _sum_below_zero(gaps: Vector, shapes: Vector) -> float:
    """P(sum of gaps * gamma(shapes) <= 0); ``gaps`` has both signs."""
    import numpy as np

    s = saddlepoint(gaps, shapes)
    room = 1 - s * gaps
    ratio = gaps / room
    square = ratio * ratio
    cumulant = -float(shapes @ np.log(room))
    return lugannani_rice(s, cumulant, float(shapes @ square), 2 * float(shapes @ (square * ratio)))


def lugannani_rice(s: float, cumulant: float, second: float, third: float) -> float:
    """P(sum <= 0) from the saddlepoint, the cumulant function there and its second and third derivatives."""
    w = math.copysign(math.sqrt(max(-2 * cumulant, 0.0)), s)
    u = s * math.sqrt(second)
    if abs(w) < 1e-4:
        return 0.5 + third / (6 * math.sqrt(2 * math.pi) * second**1.5)
    below = math.erfc(-w / math.sqrt(2)) / 2 + math.exp(-w * w / 2) / math.sqrt(2 * math.pi) * (1 / w - 1 / u)
    return min(max(below, 0.0), 1.0)


def saddlepoint(gaps: Vector, shapes: Vector) -> float:
    """The root of sum(shapes gaps / (1 - s gaps)), which rises between 1 / min(gaps) and 1 / max(gaps).

    Newton's method on the sum times (1 - s min)(1 - s max), which has no poles at the ends; halving where it strays.
    """
    if len(gaps) <= FEW:
        return _few_saddlepoint(gaps.tolist(), shapes.tolist())

    def sums(s: float) -> tuple[float, float]:
        ratio = gaps / (1 - s * gaps)
        return float(shapes @ ratio), float(shapes @ (ratio * ratio))

    return _root(sums, float(gaps.min()), float(gaps.max()))


def _few_saddlepoint(gaps: list[float], shapes: list[float]) -> float:
    def sums(s: float) -> tuple[float, float]:
        slope = turn = 0.0
        for gap, shape in zip(gaps, shapes, strict=True):
            ratio = gap / (1 - s * gap)
            slope += shape * ratio
            turn += shape * ratio * ratio
        return slope, turn

    return _root(sums, min(gaps), max(gaps))


def _root(sums: Callable[[float], tuple[float, float]], least: float, most: float) -> float:
    """Where the first of ``sums`` is zero; the second is its derivative."""
    low, high = 1 / least, 1 / most
    s, enough = 0.0, 1e-11 * (high - low)
    for _ in range(100):
        slope, second = sums(s)
        if slope > 0:
            high = s
        else:
            low = s
        room, turn = (1 - s * least) * (1 - s * most), 2 * s * least * most - least - most
        tangent = second * room + slope * turn
        new = s - slope * room / tangent if tangent else low
        if not low < new < high:
            new = (low + high) / 2
        if abs(new - s) <= enough or high - low <= enough:
            return new
        s = new
    return s
