"""What an estimate knows of its truth: one-sided p-values at every null value, and the intervals that they imply.

Every method of this package is an `Inference`. Interval and test come from the same two tail probabilities, so a 95 %
interval leaves a value out exactly where the two-sided p-value at that value is below 0.05 (Casella and Berger,
Statistical Inference, 2002, theorem 9.2.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from evalkit.statistics.intervals import Z95

LEVEL = 0.95
Alternative = Literal["two-sided", "greater", "less"]
Range = tuple[float, float]


class Inference(Protocol):
    """An estimate with its uncertainty.

    ``value`` is the estimate, ``stderr`` its standard error (None: not known), ``n`` the number of items, ``method`` a
    name for signatures, ``reason`` why there is neither interval nor test ("" where there is).
    """

    @property
    def value(self) -> float: ...
    @property
    def stderr(self) -> float | None: ...
    @property
    def n(self) -> int: ...
    @property
    def method(self) -> str: ...
    @property
    def reason(self) -> str: ...

    def tails(self, null: float) -> tuple[float, float]:
        """One-sided p-values: of "at least ``null``" against less, and of "at most ``null``" against more."""
        ...

    def interval(self, level: float = LEVEL) -> Range | None:
        """Two-sided interval with equal tails; None where nothing can be said."""
        ...

    def p_value(self, null: float = 0.0, alternative: Alternative = "two-sided") -> float:
        """The p-value of ``null``; "greater" is evidence for a truth above it. 1 where nothing can be said."""
        ...


class FromTails:
    """p-values and intervals of a method that gives its two tails; intervals by root finding in `span`."""

    value: float
    span: Range
    """Within which the truth lies by definition: where the search for the interval's ends starts."""
    reason = ""

    def tails(self, null: float) -> tuple[float, float]:
        """(p-value of "at least null", p-value of "at most null")."""
        raise NotImplementedError

    def p_value(self, null: float = 0.0, alternative: Alternative = "two-sided") -> float:
        """See `Inference.p_value`."""
        less, more = self.tails(null)
        one = min(less, more) * 2 if alternative == "two-sided" else more if alternative == "greater" else less
        return min(1.0, one)

    def interval(self, level: float = LEVEL) -> Range | None:
        """See `Inference.interval`."""
        low, high = self.span
        tail, value = (1 - level) / 2, min(max(self.value, low), high)
        return (
            crossing(lambda null: self.tails(null)[1] - tail, low, value),
            crossing(lambda null: tail - self.tails(null)[0], value, high),
        )


def crossing(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function passes zero; the end that it starts or stays beyond."""
    from scipy.optimize import brentq

    if high - low < 1e-15:
        return low
    if rising(low) >= 0:
        return low
    if rising(high) <= 0:
        return high
    return float(brentq(rising, low, high, xtol=1e-8, rtol=1e-9))


@dataclass(frozen=True, slots=True)
class Unknown:
    """An estimate of which nothing can be said beyond its value."""

    value: float
    n: int
    reason: str
    stderr: float | None = None
    method: str = "none"

    def tails(self, null: float) -> tuple[float, float]:
        """No evidence against anything."""
        return 1.0, 1.0

    def interval(self, level: float = LEVEL) -> Range | None:
        """None."""
        return None

    def p_value(self, null: float = 0.0, alternative: Alternative = "two-sided") -> float:
        """1."""
        return 1.0


@dataclass(frozen=True, slots=True)
class Student:
    """Student's t about ``value`` with ``freedom`` degrees of freedom (may be broken; infinite for the normal)."""

    value: float
    stderr: float
    freedom: float
    n: int
    method: str = "t"
    bounds: Range = (-math.inf, math.inf)
    reason: str = ""

    def tails(self, null: float) -> tuple[float, float]:
        """See `Inference.tails`."""
        from scipy.stats import t

        score = (self.value - null) / self.stderr
        return float(t.cdf(score, self.freedom)), float(t.sf(score, self.freedom))

    def interval(self, level: float = LEVEL) -> Range | None:
        """Cut at the bounds."""
        from scipy.stats import t

        half = float(t.ppf((1 + level) / 2, self.freedom)) * self.stderr
        return max(self.value - half, self.bounds[0]), min(self.value + half, self.bounds[1])

    def p_value(self, null: float = 0.0, alternative: Alternative = "two-sided") -> float:
        """See `Inference.p_value`."""
        less, more = self.tails(null)
        one = min(less, more) * 2 if alternative == "two-sided" else more if alternative == "greater" else less
        return min(1.0, one)


def student(
    value: float, stderr: float, freedom: float, n: int, method: str = "t", bounds: Range = (-math.inf, math.inf)
) -> Student | Unknown:
    """Student's t, or `Unknown` where the items do not vary: values without spread say nothing of the next one."""
    if not math.isfinite(value) or not math.isfinite(stderr):
        return Unknown(value, n, "a value is not finite")
    if freedom <= 0:
        return Unknown(value, n, "too few items")
    if stderr <= 1e-12 * max(1.0, abs(value)):
        return Unknown(value, n, "no variation between items", 0.0)
    return Student(value, stderr, freedom, n, method, bounds)


def combined(parts: Sequence[Inference], weights: Sequence[float], bounds: Range = (-math.inf, math.inf)) -> Inference:
    """The weighted sum of independent estimates: a stratified average, with Satterthwaite's degrees of freedom.

    stderr = sqrt(sum((w_k s_k)^2)); freedom = (sum v_k)^2 / sum(v_k^2 / f_k), v_k = (w_k s_k)^2 (Satterthwaite 1946).
    A part that is no Student counts as normal: with its standard error, or with half its interval's width over z where
    no item of it varies; one that has neither makes the sum `Unknown`.
    """
    value = sum(weight * part.value for weight, part in zip(weights, parts, strict=True))
    n = sum(part.n for part in parts)
    squares = []
    for weight, part in zip(weights, parts, strict=True):
        stderr = part.stderr
        if weight and not stderr and not part.reason and (interval := part.interval()) is not None:
            stderr = (interval[1] - interval[0]) / (2 * Z95)
        if weight and (part.reason or stderr is None):
            return Unknown(value, n, part.reason or "a part has no standard error")
        squares.append((weight * (stderr or 0.0)) ** 2)
    total = sum(squares)
    spread = sum(
        square**2 / part.freedom
        for square, part in zip(squares, parts, strict=True)
        if isinstance(part, Student) and math.isfinite(part.freedom)
    )
    freedom = total**2 / spread if spread > 0 else math.inf
    return student(value, math.sqrt(total), freedom, n, "stratified-t", bounds)


@dataclass(frozen=True)
class Shifted:
    """``shift + scale * found``: of values that were brought to 0..1, or by -1 of a difference turned around."""

    found: Inference
    shift: float
    scale: float

    @property
    def value(self) -> float:
        return self.shift + self.scale * self.found.value

    @property
    def stderr(self) -> float | None:
        return None if self.found.stderr is None else abs(self.scale) * self.found.stderr

    @property
    def n(self) -> int:
        return self.found.n

    @property
    def method(self) -> str:
        return self.found.method

    @property
    def reason(self) -> str:
        return self.found.reason

    def tails(self, null: float) -> Range:
        """See `Inference.tails`."""
        low, high = self.found.tails((null - self.shift) / self.scale)
        return (low, high) if self.scale > 0 else (high, low)

    def interval(self, level: float = LEVEL) -> Range | None:
        """See `Inference.interval`."""
        found = self.found.interval(level)
        if found is None:
            return None
        low, high = sorted(self.shift + self.scale * bound for bound in found)
        return low, high

    def p_value(self, null: float = 0.0, alternative: Alternative = "two-sided") -> float:
        """See `Inference.p_value`."""
        turned: dict[Alternative, Alternative] = {"greater": "less", "less": "greater", "two-sided": "two-sided"}
        side = alternative if self.scale > 0 else turned[alternative]
        return self.found.p_value((null - self.shift) / self.scale, side)
