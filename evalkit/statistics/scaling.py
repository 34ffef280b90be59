"""Scaling laws: how a loss or an error falls with the size of a model or the tokens it was trained on.

y = floor + factor x^-exponent. With a floor it is fitted by least squares of y (Hoffmann et al. 2022, arXiv 2203.15556,
have this form in each of their variables), without one by least squares of log y on log x (Kaplan et al. 2020, arXiv
2001.08361). Intervals are of Student's t with n less the number of parameters degrees of freedom, on the fit's own
covariance: they hold for independent deviations of about the same size, and say nothing about sizes far outside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

LEVEL = 0.95
Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class ScalingLaw:
    """A fitted law; ``floor`` is 0 and has no interval where none was fitted. Intervals are None where they are not
    known: as many points as parameters, or a floor that the fit holds at 0.
    """

    floor: float
    factor: float
    exponent: float
    n: int
    floor_interval: Range | None
    exponent_interval: Range | None

    def at(self, x: float) -> float:
        """The law's value at ``x`` > 0."""
        return self.floor + self.factor * x**-self.exponent


def scaling_law(x: Sequence[float], y: Sequence[float], *, floor: bool = False) -> ScalingLaw:
    """The law that points follow, with 95 % intervals. Values are in any unit, x and y above 0.

    UserError for values that are not, for fewer than three different x (with a floor: four), and where the fit fails.
    """
    import numpy as np

    least = 4 if floor else 3
    if len(x) != len(y) or len(set(x)) < least:
        raise UserError(f"scaling law: give at least {least} different sizes, with a value each (got {len(set(x))})")
    if not all(math.isfinite(one) and one > 0 for one in (*x, *y)):
        raise UserError("scaling law: sizes and values must be above 0")
    sizes, values = np.asarray(x, float), np.asarray(y, float)
    return _with_floor(sizes, values) if floor else _without(sizes, values)


def _without(x: Vector, y: Vector) -> ScalingLaw:
    from scipy import stats

    line = stats.linregress(_logs(x), _logs(y))
    interval = _interval(-float(line.slope), float(line.stderr), len(x) - 2)
    return ScalingLaw(0.0, math.exp(float(line.intercept)), -float(line.slope), len(x), None, interval)


def _with_floor(x: Vector, y: Vector) -> ScalingLaw:
    import numpy as np
    from scipy import optimize

    middle = float(np.exp(_logs(x).mean()))

    def law(sizes: Vector, low: float, scaled: float, exponent: float) -> Vector:
        # At the middle of the sizes factor and exponent hardly depend on each other.
        return np.asarray(low + scaled * (sizes / middle) ** -exponent)

    start = _without(x, y)
    begin = (0.5 * float(y.min()), max(0.5 * start.at(middle), 1e-12), max(start.exponent, 0.05))
    try:
        found, covariance = optimize.curve_fit(law, x, y, p0=begin, maxfev=20_000)
        if min(found) < 0:
            found, covariance = optimize.curve_fit(law, x, y, p0=begin, bounds=(0.0, np.inf), max_nfev=20_000)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"scaling law: the points fit no law with a floor ({error}): fit one without") from None
    low, scaled, exponent = map(float, found)
    errors = np.sqrt(np.diag(covariance))
    free = len(x) - 3
    held = low <= 1e-9 * float(y.min())
    return ScalingLaw(
        low,
        scaled * middle**exponent,
        exponent,
        len(x),
        None if held else _interval(low, float(errors[0]), free),
        None if held else _interval(exponent, float(errors[2]), free),
    )


def _logs(values: Vector) -> Any:
    import numpy as np

    return np.log(values)


def _interval(value: float, stderr: float, free: int) -> Range | None:
    from scipy import stats

    if free < 1 or not math.isfinite(stderr):
        return None
    half = float(stats.t.ppf(0.5 + LEVEL / 2, free)) * stderr
    return value - half, value + half
