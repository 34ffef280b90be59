"""How far a judge agrees with people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.statistics.shares import share_interval


@dataclass(frozen=True, slots=True)
class Agreement:
    """Share of equal labels with its interval, and Cohen's kappa (None where only one label is used)."""

    share: float
    interval: tuple[float, float]
    kappa: float | None
    n: int


def agreement(people: Sequence[str], machine: Sequence[str]) -> Agreement:
    """Two raters' labels of the same items, at least one."""
    same = sum(one == other for one, other in zip(people, machine, strict=True))
    n = len(people)
    return Agreement(same / n, share_interval(same, n), _kappa(people, machine), n)


def _kappa(people: Sequence[str], machine: Sequence[str]) -> float | None:
    labels = sorted({*people, *machine})
    if len(labels) < 2:
        return None
    import numpy as np
    from statsmodels.stats.inter_rater import cohens_kappa

    table = np.zeros((len(labels), len(labels)))
    for one, other in zip(people, machine, strict=True):
        table[labels.index(one), labels.index(other)] += 1
    return float(cohens_kappa(table, return_results=False))


def rank_correlation(people: Sequence[float], machine: Sequence[float]) -> float | None:
    """Spearman's rho of grades; None below three items and where a rater gives one grade only."""
    if len(people) < 3 or len(set(people)) < 2 or len(set(machine)) < 2:
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(people, machine).statistic)
