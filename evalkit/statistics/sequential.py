"""Group-sequential tests: looks at growing data whose error rates hold all the same.

Lan and DeMets (1983, Biometrika 70) spend the error as information grows; the spending function of O'Brien and
Fleming's kind is alpha(t) = 2 - 2 Phi(z(1 - alpha/2) / sqrt(t)). The boundary of every look solves for the error that
is newly spent, by the recursion of Armitage, McPherson and Rowe (1969, JRSS A 132) over the density of the score. A
repeated confidence interval (Jennison and Turnbull 1989, JRSS B 51) is the method's own interval at the look's level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.statistics.inference import Inference
from evalkit.statistics.margins import Shown, p_worse, shown_at

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

ALPHA = 0.025
LEAST_ALPHA = 1e-12
"""A look with less than this to spend shows nothing: hardly any evidence could use it."""
STEP = 0.02
REACH = 9.0


@dataclass(frozen=True, slots=True)
class Look:
    """``fraction`` of the most information (items over the ceiling); ``critical``: the score to pass; ``alpha``: the
    one-sided p-value to be at or below at this look; ``spent``: error used up to here.
    """

    fraction: float
    critical: float
    alpha: float
    spent: float

    @property
    def level(self) -> float:
        """Of the two-sided interval whose ends decide at this look."""
        return 1 - 2 * self.alpha


@dataclass(frozen=True, slots=True)
class Levels:
    """What a look at one of several questions may use up: a pass by itself, a regression its part."""

    passing: Look
    failing: Look

    def worse(self, p_value: float) -> float:
        """The p-value of a regression, to be held against the level of passing."""
        return min(1.0, p_value * self.passing.alpha / self.failing.alpha) if self.failing.alpha > 0 else 1.0

    def shown(self, gain: Inference, margin: float, *, any_loss: bool = False) -> Shown | None:
        """What ``gain`` (candidate better: positive) shows; see `margins.shown_at`."""
        worse = self.worse(p_worse(gain, margin, any_loss=any_loss))
        return shown_at(gain, margin, self.passing.alpha, any_loss=any_loss, worse=worse)


def spending(fraction: float, alpha: float = ALPHA) -> float:
    """Error that may be spent by the information ``fraction`` (0 to 1)."""
    from scipy.stats import norm

    if fraction <= 0:
        return 0.0
    return float(2 * norm.sf(norm.isf(alpha / 2) / math.sqrt(min(fraction, 1.0))))


class Spending:
    """The boundary of one look after another, for a one-sided error of ``alpha`` over all of them. A look's boundary
    does not depend on later ones, so that these need not be known.
    """

    def __init__(self, alpha: float = ALPHA) -> None:
        import numpy as np

        self.alpha = alpha
        self.fraction = 0.0
        """Of the last look."""
        self._spent = 0.0
        self._grid: Vector = np.zeros(1)
        self._mass: Vector = np.ones(1)

    def look(self, fraction: float) -> Look:
        """The next look, at a larger ``fraction`` of the most information (1: the last one). ValueError for others."""
        from scipy.special import ndtr

        if not self.fraction < fraction <= 1:
            raise ValueError(f"information fractions must rise within 0 and 1, not from {self.fraction} to {fraction}")
        step, scale, used = math.sqrt(fraction - self.fraction), math.sqrt(fraction), spending(fraction, self.alpha)
        critical = _boundary(self._grid, self._mass, step, scale, used - self._spent)
        self._grid, self._mass = _onward(self._grid, self._mass, step, scale, min(critical, REACH))
        self.fraction, self._spent = fraction, used
        return Look(fraction, critical, float(ndtr(-critical)), used)


class Boundary:
    """The looks at one of ``tests`` questions that all must pass, where one regression fails: passing may spend
    ``alpha``, each regression its share (Bonferroni: Holm's later steps never matter where the first rejection ends
    everything).
    """

    def __init__(self, alpha: float = ALPHA, tests: int = 1) -> None:
        self._passing, self._failing = Spending(alpha), Spending(alpha / tests)

    def at(self, fraction: float) -> Levels | None:
        """The next look; None where no information came, or where less than LEAST_ALPHA is left to spend."""
        if fraction <= self._passing.fraction:
            return None
        found = Levels(self._passing.look(fraction), self._failing.look(fraction))
        return found if found.passing.alpha >= LEAST_ALPHA else None


def design(fractions: Sequence[float], alpha: float = ALPHA) -> tuple[Look, ...]:
    """The boundary at every look, for a one-sided error of ``alpha`` over all of them.

    ``fractions`` rise strictly within 0..1 (exclusive, inclusive). Raises ValueError for others.
    """
    if not fractions:
        raise ValueError("information fractions must rise within 0 and 1, and there must be one")
    looks = Spending(alpha)
    return tuple(looks.look(fraction) for fraction in fractions)


def _boundary(grid: Vector, mass: Vector, step: float, scale: float, need: float) -> float:
    """The score that is passed with the probability ``need`` after ``step`` more information."""
    from scipy.optimize import brentq
    from scipy.special import ndtr

    if need <= 1e-300:
        return REACH + 30

    def above(critical: float) -> float:
        return float(mass @ ndtr((grid - critical * scale) / step)) - need

    return float(brentq(above, -REACH, REACH + 30, xtol=1e-10))


def _onward(grid: Vector, mass: Vector, step: float, scale: float, critical: float) -> tuple[Vector, Vector]:
    """The probability, on a grid of the score times sqrt(information), of having come there without a stop."""
    import numpy as np

    count = 2 * math.ceil((critical + REACH) / STEP / 2) + 1
    nodes = np.linspace(-REACH * scale, critical * scale, count)
    simpson = np.where(np.arange(count) % 2 == 1, 4.0, 2.0)
    simpson[[0, -1]] = 1.0
    gaps = (nodes[:, None] - grid[None, :]) / step
    density = (np.exp(-(gaps**2) / 2) @ mass) / (math.sqrt(2 * math.pi) * step)
    return nodes, density * simpson * (nodes[1] - nodes[0]) / 3
