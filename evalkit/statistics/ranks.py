"""Rank intervals that hold for all rows of a board at once.

Row j's rank lies between 1 + the rows that are surely better and J - the rows that are surely worse, where "surely" is
the joint interval of all differences (Klein, Wright and Wieczorek 2020, JRSS A 183; Mogstad, Romano, Shaikh and Wilhelm
2024, Review of Economic Studies 91). The joint critical value is the 95 % point of the largest standardised difference,
simulated from the rows' covariance: rows that answered the same items are compared as pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.statistics.inference import LEVEL, Range

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Matrix = NDArray[np.float64]

DRAWS = 4000
SEED = 1234
CHUNK = 200
FEWEST_DRAWS, WORK = 400, 100_000_000
"""With more pairs of rows than WORK over the draws there are fewer draws, but so many at least: a thousand rows are
half a million pairs.
"""


@dataclass(frozen=True, slots=True)
class Ranks:
    """``best`` and ``worst`` rank of every row (1: the highest score), and the joint critical value of differences."""

    best: tuple[int, ...]
    worst: tuple[int, ...]
    critical: float


def rank_intervals(
    scores: Vector,
    covariance: Matrix,
    *,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = SEED,
    exact: bool = False,
    freedom: float = math.inf,
) -> Ranks:
    """Rank intervals of ``scores`` (higher is better, shape [rows]) with the ``covariance`` of their errors.

    Diagonal for rows of independent samples. A pair of rows whose difference has no error (variance 0) is never told
    apart, or always with ``exact`` (published numbers without errors). ``freedom``: degrees of freedom of the errors,
    items less one where they are few. Raises ValueError for shapes that do not fit.
    """
    import numpy as np

    count = len(scores)
    if covariance.shape != (count, count):
        raise ValueError(f"{count} scores need a covariance of shape ({count}, {count}), not {covariance.shape}")
    if count < 2:
        return Ranks((1,) * count, (1,) * count, 0.0)
    own = np.diag(covariance)
    spread = np.sqrt(np.maximum(own[:, None] + own[None, :] - 2 * covariance, 0.0))
    known = spread > 0
    critical = _critical(np.nan_to_num(covariance), spread, known, level, draws, seed, freedom)
    gap = scores[:, None] - scores[None, :]
    sure = (
        np.where(known, np.abs(gap) > critical * spread, exact & (np.abs(gap) > 1e-9))
        if known.any()
        else (exact & (np.abs(gap) > 1e-9))
    )
    better, worse = (sure & (gap < 0)).sum(axis=1), (sure & (gap > 0)).sum(axis=1)
    return Ranks(tuple((1 + better).tolist()), tuple((count - worse).tolist()), critical)


def joint_alpha(covariance: Matrix, *, level: float = LEVEL, draws: int = DRAWS, seed: int = SEED) -> float:
    """The two-sided level of each pair's test at which all pairs of rows together err in 1 - ``level`` of the cases,
    for scores with the ``covariance`` of their errors: 1 - ``level`` itself for two rows.
    """
    import numpy as np
    from scipy.stats import norm

    if len(covariance) < 3:
        return 1 - level
    own = np.diag(covariance)
    spread = np.sqrt(np.maximum(own[:, None] + own[None, :] - 2 * covariance, 0.0))
    critical = _critical(covariance, spread, spread > 0, level, draws, seed, math.inf)
    return 1 - level if math.isinf(critical) else float(2 * norm.sf(critical))


def ranks_of_pairs(gaps: Matrix, p_values: Matrix, alpha: float) -> Ranks:
    """Ranks from every pair's own test at `joint_alpha`: ``gaps`` (row less column, higher is better) and two-sided
    ``p_values``, both of shape [rows, rows]; two rows are told apart where the p-value lies below ``alpha``.
    """
    from scipy.stats import norm

    sure = (p_values < alpha) & (gaps != 0)
    better, worse = (sure & (gaps < 0)).sum(axis=1), (sure & (gaps > 0)).sum(axis=1)
    count = len(gaps)
    return Ranks(tuple((1 + better).tolist()), tuple((count - worse).tolist()), float(norm.isf(alpha / 2)))


@dataclass(frozen=True, slots=True)
class Pairwise:
    """Every pair of rows, each of shape [rows, rows]: row less column with the better direction up, two-sided p-values,
    the covariance of the rows' errors, and where neither row has an error.
    """

    gaps: Matrix
    p_values: Matrix
    covariance: Matrix
    exact: NDArray[np.bool_]


def ranks_of_wins(columns: Sequence[Pairwise], level: float = LEVEL) -> Ranks:
    """Ranks by mean win rate: in how many ``columns`` (independent of each other) how many other rows are beaten.

    A win rate is no smooth function of scores, so that no standard error of it tells rows apart. What is sure are
    comparisons within columns, at a level that holds for all pairs and columns together; they bound every row's wins,
    and with these the difference of two rows' win rates.
    """
    import numpy as np

    each = level ** (1 / len(columns))
    least = np.sum([_least_wins(one, joint_alpha(one.covariance, level=each)) for one in columns], axis=0)
    above = least > 1e-9
    best, worst = 1 + above.sum(axis=0), len(above) - above.sum(axis=1)
    return Ranks(tuple(best.tolist()), tuple(worst.tolist()), 0.0)


def _least_wins(compared: Pairwise, alpha: float) -> Matrix:
    """By how many wins row i must have more than row j in a column, shape [rows, rows].

    Row i's win over m is 1, 0, one half (a tie of numbers without errors), or lies between 0 and 1. Where i is at least
    as good as j, it beats all that j beats.
    """
    import numpy as np

    sure = (compared.p_values < alpha) & (compared.gaps != 0)
    tied = compared.exact & (compared.gaps == 0)
    least = np.where(sure & (compared.gaps > 0), 1.0, np.where(tied, 0.5, 0.0))
    most = np.where(sure & (compared.gaps < 0), 0.0, np.where(tied, 0.5, 1.0))
    np.fill_diagonal(least, 0.0)
    np.fill_diagonal(most, 0.0)
    own = least - most.T
    any_order = (least.sum(axis=1)[:, None] - least) - (most.sum(axis=1)[None, :] - most.T) + own
    np.fill_diagonal(most, 1.0)
    beaten = sum(
        size * ((least == high).astype(np.float32) @ (most == low).astype(np.float32).T)
        for high, low, size in ((1.0, 0.0, 1.0), (1.0, 0.5, 0.5), (0.5, 0.0, 0.5))
    )
    return np.where(own >= 0, own + beaten, any_order)


def _critical(
    covariance: Matrix, spread: Matrix, known: NDArray[np.bool_], level: float, draws: int, seed: int, freedom: float
) -> float:
    """The ``level`` quantile of the largest |difference| / its error over all pairs of rows."""
    import numpy as np

    generator = np.random.default_rng(seed)
    root = _root(covariance)
    first, second = np.nonzero(np.triu(known, 1))
    if not len(first):
        return math.inf
    scale = (1 / spread[first, second]).astype(np.float32)
    few = math.isfinite(freedom)
    draws = min(draws, max(FEWEST_DRAWS, WORK // len(first)))
    largest = []
    size = max(1, min(CHUNK, 20_000_000 // len(first)))
    for start in range(0, draws, size):
        errors = generator.standard_normal((min(size, draws - start), len(root))) @ root.T
        errors = errors.astype(np.float32)
        top = (np.abs(errors[:, first] - errors[:, second]) * scale).max(axis=1)
        largest.append(top / np.sqrt(generator.chisquare(freedom, len(top)) / freedom) if few else top)
    return float(np.quantile(np.concatenate(largest), level))


def _root(covariance: Matrix) -> Matrix:
    """A matrix whose product with its transpose is the nearest covariance."""
    import numpy as np

    roots, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    found: Matrix = vectors * np.sqrt(np.maximum(roots, 0.0))
    return found


def normal_errors(covariance: Matrix, draws: int, generator: np.random.Generator) -> Matrix:
    """Normal draws of rows' errors, shape [draws, rows]."""
    found: Matrix = generator.standard_normal((draws, len(covariance))) @ _root(covariance).T
    return found


def paired_covariance(table: Matrix) -> Matrix:
    """The covariance of the rows' means, shape [rows, rows], from their values on the same items, [rows, items]."""
    import numpy as np

    found: Matrix = np.atleast_2d(np.cov(table)) / table.shape[1]
    return found


def widest_gap(table: Matrix, level: float = LEVEL, seed: int = SEED) -> tuple[float, float, Range | None]:
    """The range (largest less smallest) of the rows' true means, from values on the same items, [rows, items].

    Returns the plain range, a debiased one, and an interval. The plain range of equal rows grows with their number and
    noise; debiased, it shrinks by the share of the rows' variance that is not noise, max(0, 1 - noise / variance), in
    standard deviations. The interval joins the pairs' simultaneous ones: the range is the largest of their absolute
    differences. None for fewer than two items, or rows that do not differ in any item.
    """
    import numpy as np

    means = table.mean(axis=1)
    plain = float(means.max() - means.min())
    if table.shape[1] < 2 or len(means) < 2:
        return plain, plain, None
    covariance = paired_covariance(table)
    own = np.diag(covariance)
    squares = np.maximum(own[:, None] + own[None, :] - 2 * covariance, 0.0)
    noise, variance = float(squares[np.triu_indices(len(means), 1)].mean()) / 2, float(means.var(ddof=1))
    debiased = plain * math.sqrt(max(0.0, 1 - noise / variance)) if variance > 0 else 0.0
    spread = np.sqrt(squares)
    if not (spread > 0).any():
        return plain, debiased, None
    critical = _critical(covariance, spread, spread > 0, level, DRAWS, seed, table.shape[1] - 1)
    gap = np.abs(means[:, None] - means[None, :])
    low, high = float((gap - critical * spread).max()), float((gap + critical * spread).max())
    return plain, debiased, (max(low, 0.0), high)
