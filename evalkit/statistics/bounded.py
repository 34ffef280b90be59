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


def mass_below(points: Vector, shapes: Vector, m: float, unseen: float) -> float:
    """P(weighted mean <= m): gamma weights of ``shapes`` on ``points``, and of shape 1 on ``unseen``."""
    import numpy as np

    gaps = np.append(points - m, unseen - m)
    weights = np.append(shapes, 1.0)
    kept = gaps != 0
    gaps, weights = gaps[kept], weights[kept]
    if not len(gaps) or gaps.max() < 0:
        return 1.0
    if gaps.min() > 0:
        return 0.0
    return _sum_below_zero(gaps, weights)


def _sum_below_zero(gaps: Vector, shapes: Vector) -> float:
    """P(sum of gaps * gamma(shapes) <= 0), Lugannani and Rice; ``gaps`` has both signs."""
    import numpy as np
    from scipy.special import ndtr

    s = saddlepoint(gaps, shapes)
    room = 1 - s * gaps
    cumulant = -float(shapes @ np.log(room))
    ratio = gaps / room
    square = ratio * ratio
    second = float(shapes @ square)
    third = 2 * float(shapes @ (square * ratio))
    w = math.copysign(math.sqrt(max(-2 * cumulant, 0.0)), s)
    u = s * math.sqrt(second)
    if abs(w) < 1e-4:
        return 0.5 + third / (6 * math.sqrt(2 * math.pi) * second**1.5)
    below = float(ndtr(w)) + math.exp(-w * w / 2) / math.sqrt(2 * math.pi) * (1 / w - 1 / u)
    return min(max(below, 0.0), 1.0)


def saddlepoint(gaps: Vector, shapes: Vector) -> float:
    """The root of sum(shapes gaps / (1 - s gaps)), which rises between 1 / min(gaps) and 1 / max(gaps).

    Newton's method on the sum times (1 - s min)(1 - s max), which has no poles at the ends; halving where it strays.
    """
    least, most = float(gaps.min()), float(gaps.max())
    low, high = 1 / least, 1 / most
    s, enough = 0.0, 1e-11 * (high - low)
    for _ in range(100):
        ratio = gaps / (1 - s * gaps)
        slope = float(shapes @ ratio)
        if slope > 0:
            high = s
        else:
            low = s
        room, turn = (1 - s * least) * (1 - s * most), 2 * s * least * most - least - most
        tangent = float(shapes @ (ratio * ratio)) * room + slope * turn
        new = s - slope * room / tangent if tangent else low
        if not low < new < high:
            new = (low + high) / 2
        if abs(new - s) <= enough or high - low <= enough:
            return new
        s = new
    return s
