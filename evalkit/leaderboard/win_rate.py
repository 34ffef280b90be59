"""Mean win rates, as HELM has them: how many of the other rows a row beats, averaged over columns.

The mean rank over columns orders rows as the mean win rate does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.leaderboard.ranking import Scores, Standing, pairwise
from evalkit.statistics.ranks import Ranks, normal_errors, ranks_of_wins

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

DRAWS = 400
SEED = 1234


@dataclass(frozen=True, slots=True)
class WinRates:
    """Every row's mean win rate (0 to 1) and its standard error (0: not known), and the rows' ranks."""

    rates: tuple[float, ...]
    errors: tuple[float, ...]
    ranks: Ranks


def win_rates(columns: Sequence[Sequence[Standing]], falling: Sequence[bool], *, ranked: bool = True) -> WinRates:
    """Of at least two rows: ``columns`` of their standings, and whether the lower one is the better in each. Without
    ``ranked`` only the rates, which cost no comparison of pairs.

    Pairs are compared on the same items where both rows have them (`ranking.pairwise`).
    """
    import numpy as np

    sign = np.where(falling, -1.0, 1.0)
    values = np.array([[row.score for row in column] for column in columns]).T * sign
    rates = tuple(_wins(values).tolist())
    if not ranked:
        return WinRates(rates, (0.0,) * len(rates), Ranks((), (), 0.0))
    scores = Scores()
    errors = np.array([[row.error for row in column] for column in columns]).T
    compared = [pairwise(column, scores, low) for column, low in zip(columns, falling, strict=True)]
    spread = np.zeros(len(values))
    if (errors > 0).all():
        generator = np.random.default_rng(SEED)
        noise = np.stack([normal_errors(one.covariance, DRAWS, generator) for one in compared], axis=2)
        spread = np.array([_wins(values + draw) for draw in noise]).std(axis=0, ddof=1)
    return WinRates(rates, tuple(spread.tolist()), ranks_of_wins(compared))


def _wins(values: Matrix) -> Matrix:
    """(rows, columns) of "more is better" -> each row's mean share of the others beaten, shape (rows,)."""
    from scipy.stats import rankdata

    found: Matrix = (rankdata(values, axis=0) - 1).mean(axis=1) / (len(values) - 1)
    return found
