"""Shares of right answers: one run's, and two runs' on the same items.

One share: Wilson's score interval (1927), at each end no shorter than the mid-p interval (Lancaster 1961). Wilson's
alone covers a share of 0.036 on five items 83 % of the time, because one right answer among five already excludes it;
mid-p alone passes a bound too easily where nothing went wrong. The larger of their p-values stands at every null.

Two shares on the same items: Tango's score test and interval (1998, Statistics in Medicine 17:891). At a difference of
zero it is McNemar's test; at a margin it is the matching test of non-inferiority.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from evalkit.statistics.inference import FromTails, Range


@dataclass(frozen=True)
class Share(FromTails):
    """``successes`` of ``n`` (at least one)."""

    successes: float
    n: int
    span: Range = (0.0, 1.0)
    method: str = "wilson-midp"

    @property
    def value(self) -> float:  # type: ignore[override]
        return self.successes / self.n

    @property
    def stderr(self) -> float | None:
        """s / sqrt(n) with n - 1 in s, as lm-eval's."""
        return math.sqrt(self.value * (1 - self.value) / (self.n - 1)) if self.n > 1 else None

    def tails(self, null: float) -> Range:
        """See `Inference.tails`."""
        from scipy.special import bdtr, ndtr

        if not 0 < null < 1:
            return (1.0, float(self.value <= null)) if null <= 0 else (float(self.value >= null), 1.0)
        score = (self.value - null) / math.sqrt(null * (1 - null) / self.n)
        at_most, below = float(bdtr(self.successes, self.n, null)), 0.0
        if self.successes > 0:
            below = float(bdtr(self.successes - 1, self.n, null))
        middle = (at_most + below) / 2
        return max(float(ndtr(score)), middle), max(float(ndtr(-score)), 1 - middle)


@dataclass(frozen=True)
class PairedShares(FromTails):
    """``gained`` and ``lost`` of ``n`` items on which two runs differ: the difference (gained - lost) / n."""

    gained: int
    lost: int
    n: int
    span: Range = (-1.0, 1.0)
    method: str = "tango"

    @property
    def value(self) -> float:  # type: ignore[override]
        return (self.gained - self.lost) / self.n

    @property
    def stderr(self) -> float | None:
        """s / sqrt(n) of the differences."""
        if self.n < 2:
            return None
        return math.sqrt(max((self.gained + self.lost) / self.n - self.value**2, 0.0) / (self.n - 1))

    def score(self, null: float) -> float:
        """Tango's statistic: standard normal where the true difference is ``null``."""
        n, b, c = self.n, self.gained, self.lost
        linear = -(b + c) + (2 * n - b + c) * null
        root = math.sqrt(max(linear**2 + 8 * n * c * null * (1 - null), 0.0))
        # Of the two forms of the root of a quadratic, the one that does not subtract equal numbers.
        lost = (root - linear) / (4 * n) if linear < 0 else 2 * c * null * (1 - null) / (root + linear) if root else 0.0
        variance = n * (2 * max(lost, -null, 0.0) + null * (1 - null))
        distance = b - c - n * null
        if variance <= 1e-14 * n:
            return 0.0 if abs(distance) < 1e-9 else math.copysign(math.inf, distance)
        return distance / math.sqrt(variance)

    def tails(self, null: float) -> Range:
        """See `Inference.tails`."""
        from scipy.special import ndtr

        score = self.score(min(max(null, -1.0), 1.0))
        return float(ndtr(score)), float(ndtr(-score))


def share_interval(successes: int, n: int, level: float = 0.95) -> Range:
    """The interval of one share; ``n`` at least 1."""
    found = Share(successes, n).interval(level)
    return found or (0.0, 1.0)
