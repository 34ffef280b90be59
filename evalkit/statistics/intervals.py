"""Standard errors and intervals: thin wrappers on scipy and statsmodels, so that every number is computed in one way.

Choices and their sources: docs/statistics.md. Intervals are two-sided and cover 95 % unless told otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from evalkit.contract.types import Bounds

LEVEL = 0.95
Z95 = 1.959963984540054
"""The normal distribution's 97.5 % quantile: half the width of a 95 % interval, in standard errors."""


def mean_stderr(values: Sequence[float]) -> float | None:
    """Standard error of the mean: sample standard deviation (ddof 1) over sqrt(n), as lm-eval's; None below two."""
    if len(values) < 2:
        return None
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1)) / math.sqrt(len(values))


def wilson(successes: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927); right for small n and near 0 and 1. Needs n >= 1."""
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(successes, n, alpha=1 - level, method="wilson")
    # Exact at the ends, where rounding leaves -1e-17 or 1 - 1e-16.
    return 0.0 if successes == 0 else float(low), 1.0 if successes == n else float(high)


def t_interval(mean: float, stderr: float | None, n: int, level: float = LEVEL) -> tuple[float, float] | None:
    """Student's t interval of a mean with n - 1 degrees of freedom; None where there is no standard error."""
    half = t_half_width(stderr, n, level)
    return None if half is None else (mean - half, mean + half)


def t_half_width(stderr: float | None, n: int, level: float = LEVEL) -> float | None:
    """Half the width of Student's t interval; None where there is no standard error."""
    if stderr is None or n < 2:
        return None
    from scipy.stats import t

    return float(t.ppf((1 + level) / 2, n - 1)) * stderr


def within(interval: tuple[float, float] | None, bounds: Bounds | None) -> tuple[float, float] | None:
    """The part of an interval that its quantity can lie in: a share is not above 1, whatever Student's t says."""
    if interval is None or bounds is None:
        return interval
    least, most = (-math.inf if bounds[0] is None else bounds[0]), (math.inf if bounds[1] is None else bounds[1])
    return min(max(interval[0], least), most), max(min(interval[1], most), least)


def ratio_stderr(numerators: Sequence[float], denominators: Sequence[float]) -> float | None:
    """Standard error of sum(numerators) / sum(denominators) over n paired samples; None below two samples.

    The delta method's linearisation (Cochran, Sampling Techniques, 1977, eq. 6.13, without the finite population
    correction).
    """
    n = len(numerators)
    total = sum(denominators)
    if n < 2 or total == 0:
        return None
    ratio = sum(numerators) / total
    residuals = sum((a - ratio * b) ** 2 for a, b in zip(numerators, denominators, strict=True))
    return math.sqrt(residuals * n / (n - 1)) / abs(total)


def bootstrap_interval(
    statistic: Callable[[np.ndarray], float],
    n: int,
    seed: int,
    resamples: int = 1000,
    level: float = LEVEL,
) -> tuple[float, tuple[float, float]] | None:
    """Standard error and percentile interval of ``statistic``, by resampling n samples with replacement.

    ``statistic`` gets the drawn sample numbers (an int array of shape [n]). The same seed gives the same interval.
    None below two samples.
    """
    if n < 2:
        return None
    import numpy as np

    generator = np.random.default_rng(seed)
    draws = np.array([statistic(generator.integers(0, n, size=n)) for _ in range(resamples)], dtype=float)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(draws.std(ddof=1)), (float(low), float(high))


def pooled_stderr(stderrs: Sequence[float], sizes: Sequence[int]) -> float | None:
    """Standard error of the mean over all documents of several tasks, from each task's own (micro average).

    The pooled variance within tasks, as lm-eval has for groups: sqrt(sum((n_i - 1) n_i se_i^2) / (N - k) / N).
    None where no task has two documents.
    """
    freedom = sum(sizes) - len(sizes)
    if freedom <= 0:
        return None
    within = sum((size - 1) * size * stderr**2 for stderr, size in zip(stderrs, sizes, strict=True))
    return math.sqrt(within / freedom / sum(sizes))


def macro_stderr(stderrs: Sequence[float]) -> float | None:
    """Standard error of the unweighted mean of independent tasks' means: sqrt(sum(se_i^2)) / k; None for no tasks."""
    if not stderrs:
        return None
    return math.sqrt(sum(stderr**2 for stderr in stderrs)) / len(stderrs)
