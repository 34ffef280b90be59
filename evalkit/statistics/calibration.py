"""Expected calibration error without the bias of its plug-in estimate, and with an interval.

The plug-in takes the absolute value of every bin's mean gap, so that noise alone makes a calibrated model look wrong
(Kumar, Liang and Ma 2019, NeurIPS, "Verified uncertainty calibration"; Roelofs et al. 2022, AISTATS, "Mitigating bias
in calibration error estimation"). A bin's gap is nearly normal, so the plug-in that a true set of gaps would give is
known: a sum of folded normals. Here the true gaps are taken to be the observed ones times a common shrinkage, and the
shrinkage is the one whose expected plug-in is the plug-in observed; the interval's ends are those that put it into a
tail, for the observed gaps or for even ones, by Student's t with bins less one degrees of freedom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.statistics.inference import LEVEL, Range

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

MOST = 8.0
"""The largest stretch of the observed gaps that the search for the upper end tries."""


@dataclass(frozen=True, slots=True)
class CalibrationError:
    """The ``plain`` estimate (Guo et al. 2017), the ``debiased`` one, and its interval (None below two items)."""

    plain: float
    debiased: float
    interval: Range | None


def calibration_error(gaps: Vector, bins: NDArray[np.int64], level: float = LEVEL) -> CalibrationError:
    """Of ``gaps`` (right minus confidence, one an item) in ``bins``. At least one item."""
    import numpy as np
    from scipy.stats import t

    n = len(gaps)
    counts = np.bincount(bins).astype(float)
    used = counts > 0
    counts, sums, squares = counts[used], np.bincount(bins, gaps)[used], np.bincount(bins, gaps**2)[used]
    means, shares = sums / counts, counts / n
    plain = float(shares @ np.abs(means))
    if n < 2:
        return CalibrationError(plain, plain, None)
    errors = np.sqrt(_variances(counts, np.maximum(squares - counts * means**2, 0.0)) / counts)
    middle = _stretch(plain, shares, means, errors, 0.0)
    # The observed gaps differ from bin to bin by noise too, the truth's less: an even set of gaps is tried as well.
    need = float(t.isf((1 - level) / 2, max(len(counts) - 1, 1)))
    shapes = (means, np.full(len(means), plain))
    low = min(_stretch(plain, shares, shape, errors, need) for shape in shapes)
    high = max(_stretch(plain, shares, shape, errors, -need) for shape in shapes)
    # Where no gap varies, the root finder's tolerance alone tells the three apart.
    low, high = min(low, middle), max(high, middle)
    return CalibrationError(plain, middle * plain, (low * plain, max(min(high * plain, 1.0), low * plain)))


def _variances(counts: Vector, within: Vector) -> Vector:
    """Variance of a gap in each bin; the pooled one is mixed in as if it were two more items, since a bin of a few
    items that are all right shows none.
    """
    import numpy as np

    freedom = float((counts - 1).sum())
    pooled = float(within.sum()) / freedom if freedom > 0 else 0.25
    mixed: Vector = np.asarray((within + 2 * pooled) / (counts + 1))
    return mixed


def _stretch(plain: float, shares: Vector, means: Vector, errors: Vector, score: float) -> float:
    """The factor on the observed gaps under which the plug-in lies ``score`` standard errors above its mean."""
    from scipy.optimize import brentq

    def distance(factor: float) -> float:
        mean, error = _plug_in(factor * means, errors, shares)
        return plain - score * error - mean

    if distance(0.0) <= 0:
        return 0.0
    if distance(MOST) >= 0:
        return MOST
    return float(brentq(distance, 0.0, MOST, xtol=1e-8))


def _plug_in(truth: Vector, errors: Vector, shares: Vector) -> tuple[float, float]:
    """Mean and standard deviation of the plug-in for true gaps: a weighted sum of folded normals."""
    import numpy as np
    from scipy.special import ndtr

    safe = np.maximum(errors, 1e-12)
    ratio = truth / safe
    folded = safe * math.sqrt(2 / math.pi) * np.exp(-(ratio**2) / 2) + truth * (1 - 2 * ndtr(-ratio))
    variance = np.maximum(truth**2 + safe**2 - folded**2, 0.0)
    return float(shares @ folded), math.sqrt(float(shares**2 @ variance))
