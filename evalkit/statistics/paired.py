"""Statistics of paired data: two models that answered the same items. docs/statistics.md gives the reasons.

Inputs are equally long arrays, one value an item, in the same order; ``clusters`` labels items that share a
passage or a subject. A difference is always candidate minus base.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from evalkit.contract.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

BOOTSTRAP_FROM = 50
"""Items from which the percentile bootstrap is trusted; below it is too narrow and Student's t is used."""
MANY_CLUSTERS = 8
"""Clusters below which a clustered standard error is not worth its name."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One paired difference (candidate minus base) in the metric's own unit."""

    n: int
    value: float
    stderr: float
    interval: tuple[float, float]
    p_value: float
    """Two-sided, under the null that the difference is zero."""
    detectable: float
    """The smallest true difference that this many items find with 80 % power (two-sided, at ``alpha``)."""
    method: str
    binary: bool
    lost: int = 0
    """Items where the candidate is lower than the base."""
    gained: int = 0
    clusters: int | None = None

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.interval[0] > 0 or self.interval[1] < 0


def paired_difference(
    base: Sequence[float] | Vector,
    candidate: Sequence[float] | Vector,
    *,
    clusters: Sequence[Any] | None = None,
    alpha: float = 0.05,
    seed: int = 1234,
    resamples: int = 2000,
) -> Difference:
    """The mean paired difference with its interval and test.

    Binary items: exact McNemar test, Bonett-Price interval. Continuous items: seeded paired bootstrap, Student's t
    below 50 items. With ``clusters`` (eight or more, some with two or more items): cluster-robust standard error and t
    with G - 1 degrees of freedom, unless independent items would give the larger standard error.
    Raises ValueError for unequal lengths, fewer than two items or non-finite values.
    """
    import numpy as np

    a, b = np.asarray(base, dtype=float), np.asarray(candidate, dtype=float)
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2:
        raise ValueError(f"needs two equally long vectors of at least 2 items, not {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a paired difference needs finite values")
    binary = bool(np.isin(a, (0.0, 1.0)).all() and np.isin(b, (0.0, 1.0)).all())
    bounded = bool(min(a.min(), b.min()) >= 0 and max(a.max(), b.max()) <= 1)
    if binary or (bounded and bool((a == b).all())):
        # Answers that never differ in a few items say little of the next ones: the interval must not be a point.
        estimate = _binary(a, b, alpha)
    elif len(a) < BOOTSTRAP_FROM:
        estimate = _student(b - a, alpha)
    else:
        estimate = _bootstrap(b - a, alpha, seed, resamples)
    groups = None
    if clusters is not None:
        codes = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)[1]
        if MANY_CLUSTERS <= codes.max() + 1 < len(a):
            clustered = _clustered(b - a, codes, alpha)
            groups = int(codes.max()) + 1
            # Sharing a passage cannot make items tell more than independent ones would.
            estimate = max(clustered, estimate, key=lambda one: one[1])
    return _difference(a, b, *estimate[:4], alpha, estimate[4], binary, groups)


def _difference(
    a: Vector,
    b: Vector,
    value: float,
    stderr: float,
    interval: tuple[float, float],
    p_value: float,
    alpha: float,
    method: str,
    binary: bool,
    clusters: int | None,
) -> Difference:
    """The record, with the counts of items that moved and the detectable effect."""
    return Difference(
        n=len(a),
        value=value,
        stderr=stderr,
        interval=interval,
        p_value=p_value,
        detectable=detectable_effect(stderr, alpha=alpha),
        method=method,
        binary=binary,
        lost=int((b < a).sum()),
        gained=int((b > a).sum()),
        clusters=clusters,
    )


Estimate = tuple[float, float, tuple[float, float], float, str]


def _binary(a: Vector, b: Vector, alpha: float) -> Estimate:
    """Exact McNemar (statsmodels) and the Bonett-Price (2012) adjusted Wald interval, which adds one item to each
    discordant cell and so does not collapse to a point when no item flipped.
    """
    from scipy.stats import norm
    from statsmodels.stats.contingency_tables import mcnemar

    n = len(a)
    gained, lost = int(((b == 1) & (a == 0)).sum()), int(((a == 1) & (b == 0)).sum())
    both = int(((a == 1) & (b == 1)).sum())
    test = mcnemar([[both, lost], [gained, n - both - lost - gained]], exact=True)
    up, down = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    stderr = math.sqrt(max(up + down - (up - down) ** 2, 0.0) / (n + 2))
    half = float(norm.ppf(1 - alpha / 2)) * stderr
    interval = (max(up - down - half, -1.0), min(up - down + half, 1.0))
    return (gained - lost) / n, stderr, interval, float(test.pvalue), "mcnemar:exact|ci:bonett-price"


def _student(differences: Vector, alpha: float) -> Estimate:
    """Student's t of the differences."""
    from scipy.stats import t

    n = len(differences)
    value, stderr = float(differences.mean()), float(differences.std(ddof=1)) / math.sqrt(n)
    half = float(t.ppf(1 - alpha / 2, n - 1)) * stderr
    p_value = _two_sided(value, stderr, n - 1)
    return value, stderr, (value - half, value + half), p_value, "t:paired"


def _two_sided(value: float, stderr: float, freedom: int) -> float:
    """Two-sided p-value of value / stderr; a difference that never varies is certain (0) or absent (1)."""
    from scipy.stats import t

    if stderr == 0:
        return 1.0 if value == 0 else 0.0
    return float(2 * t.sf(abs(value / stderr), freedom))


def _bootstrap(differences: Vector, alpha: float, seed: int, resamples: int) -> Estimate:
    """Seeded bootstrap of the mean difference: percentile interval; p-value by shifting to the null (Koehn 2004)."""
    import numpy as np

    draws = np.empty(resamples)
    generator, n = np.random.default_rng(seed), len(differences)
    for index in range(resamples):
        draws[index] = differences[generator.integers(0, n, n)].mean()
    value = float(differences.mean())
    low, high = np.quantile(draws, [alpha / 2, 1 - alpha / 2])
    extreme = int((np.abs(draws - value) >= abs(value) - 1e-12).sum())
    p_value = (extreme + 1) / (resamples + 1)
    method = f"bootstrap:paired|b:{resamples}|seed:{seed}"
    return value, float(draws.std(ddof=1)), (float(low), float(high)), p_value, method


def _clustered(differences: Vector, codes: NDArray[np.int64], alpha: float) -> Estimate:
    """Cluster-robust standard error of the mean difference (Miller 2024, equation 4 on differences; statsmodels)."""
    import numpy as np
    from scipy.stats import t
    from statsmodels.regression.linear_model import OLS

    value, groups = float(differences.mean()), int(codes.max()) + 1
    fit = OLS(differences, np.ones(len(differences))).fit(cov_type="cluster", cov_kwds={"groups": codes})
    stderr = float(fit.bse[0]) if float(np.ptp(differences)) > 0 else 0.0
    half = float(t.ppf(1 - alpha / 2, groups - 1)) * stderr
    interval = (value - half, value + half)
    return value, stderr, interval, _two_sided(value, stderr, groups - 1), f"t:cluster-robust|clusters:{groups}"


def corpus_difference(
    base: NDArray[np.float64],
    candidate: NDArray[np.float64],
    aggregate: Callable[[NDArray[np.float64]], float],
    *,
    alpha: float = 0.05,
    seed: int = 12345,
    resamples: int = 1000,
    rule: Literal["two-sided", "sacrebleu"] = "two-sided",
) -> Difference:
    """Joint resampling of sentences for a corpus metric (Koehn 2004), with the draws of sacrebleu's paired bootstrap.

    ``base`` and ``candidate`` hold sufficient statistics, shape (sentences, statistics); ``aggregate`` turns their
    sum over a sample, shape (statistics,), into the metric. The p-value shifts the differences to the null and counts
    both tails. ``rule="sacrebleu"`` is sacrebleu 2's p-value, which centres absolute differences and so counts one
    tail: about half of ours, and too small (docs/statistics.md has the false-alarm rates).
    """
    import numpy as np

    if base.shape != candidate.shape or base.ndim != 2 or len(base) < 2:
        raise ValueError(
            f"joint resampling needs two equal matrices of at least 2 rows, not {base.shape}, {candidate.shape}"
        )
    n = len(base)
    value = aggregate(candidate.sum(axis=0)) - aggregate(base.sum(axis=0))
    generator, draws = np.random.default_rng(seed), np.empty(resamples)
    for index in range(resamples):
        rows = generator.choice(n, size=n, replace=True)
        draws[index] = aggregate(candidate[rows].sum(axis=0)) - aggregate(base[rows].sum(axis=0))
    low, high = np.quantile(draws, [alpha / 2, 1 - alpha / 2])
    if rule == "sacrebleu":
        extreme = int((np.abs(draws) - np.abs(draws).mean() > abs(value)).sum())
    else:
        extreme = int((np.abs(draws - draws.mean()) >= abs(value)).sum())
    stderr = float(draws.std(ddof=1))
    return Difference(
        n=n,
        value=value,
        stderr=stderr,
        interval=(float(low), float(high)),
        p_value=(extreme + 1) / (resamples + 1),
        detectable=detectable_effect(stderr, alpha=alpha),
        method=f"bootstrap:sentences|b:{resamples}|seed:{seed}",
        binary=False,
    )


def detectable_effect(stderr: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest true difference found with ``power`` at two-sided ``alpha``: (z(1-alpha/2) + z(power)) stderr."""
    from scipy.stats import norm

    return float(norm.ppf(1 - alpha / 2) + norm.ppf(power)) * stderr


def items_needed(stderr: float, n: int, distance: float, *, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """Items for a one-sided ``alpha / 2`` bound to clear a margin ``distance`` away with ``power``, when ``n`` items
    gave ``stderr``: the standard error falls with the root of n. None when the distance is not positive.
    """
    from scipy.stats import norm

    if distance <= 0:
        return None
    scale = float(norm.ppf(1 - alpha / 2) + norm.ppf(power)) * stderr / distance
    return max(n + 1, math.ceil(n * scale * scale))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the given order (statsmodels)."""
    from statsmodels.stats.multitest import multipletests

    return [float(value) for value in multipletests(list(p_values), method="holm")[1]] if len(p_values) else []


def aligned(base: Sequence[str], candidate: Sequence[str], where: str) -> tuple[list[int], list[int]]:
    """Row numbers of the items both have, in the base's order. ``base`` and ``candidate`` are join keys (unique).

    Raises UserError when no item is shared.
    """
    place = {key: index for index, key in enumerate(candidate)}
    pairs = [(index, place[key]) for index, key in enumerate(base) if key in place]
    if not pairs:
        raise UserError(
            f"{where}: the runs share no item, so nothing can be paired; were they made from the same data?"
        )
    return [first for first, _ in pairs], [second for _, second in pairs]


def join_keys(hashes: Sequence[str]) -> list[str]:
    """Document hashes made unique: the k-th copy of the same document gets "hash#k"."""
    seen: dict[str, int] = {}
    keys = []
    for value in hashes:
        count = seen.get(value, 0)
        seen[value] = count + 1
        keys.append(value if count == 0 else f"{value}#{count}")
    return keys
