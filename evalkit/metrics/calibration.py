"""Expected calibration error of multiple-choice tasks, from the probabilities among the choices.

A choice's probability is the softmax of the summed log-likelihoods; confidence is the largest of them. The Brier score
is in evalkit.metrics.choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evalkit.metrics.base import ScoringInput, share_metric
from evalkit.metrics.choice import best, gold_indices, softmax
from evalkit.metrics.combine import Combine
from evalkit.statistics.calibration import CalibrationError
from evalkit.statistics.calibration import calibration_error as of_gaps
from evalkit.statistics.inference import Range

BINS = 15
"""Bins of equal width (Guo et al. 2017, arXiv 1706.04599, section 3)."""


def ece_sample(sample: ScoringInput) -> tuple[float, ...] | None:
    """(right - confidence) in the confidence's bin and 0 in all others, then 1: these add up over samples.

    Bins are (0, 1/15], ..., (14/15, 1]. None for several right choices.
    """
    gold = gold_indices(sample.target)
    if len(gold) != 1:
        return None
    probabilities = softmax(sample.loglikelihoods)
    chosen = best(sample.loglikelihoods)
    confidence = min(probabilities[chosen], 1.0)
    place = next(number for number in range(BINS) if confidence <= (number + 1) / BINS or number == BINS - 1)
    gap = float(chosen == gold[0]) - confidence
    return (*(gap if number == place else 0.0 for number in range(BINS)), 1.0)


def calibration_error(sums: Sequence[float]) -> float:
    """Expected calibration error: sum over bins of |sum of (right - confidence)|, over the number of samples.

    ``sums`` holds one such sum a bin and, last, the number of samples.
    """
    return float(sum(abs(float(value)) for value in sums[:BINS])) / float(sums[BINS])


def debiased(values: Sequence[tuple[float, ...]]) -> CalibrationError:
    """Guo's estimate, the one without its bias, and the interval of the true error (`statistics.calibration`)."""
    import numpy as np

    table = np.asarray(values, dtype=float)[:, :BINS]
    places = np.abs(table).argmax(axis=1)
    return of_gaps(table[np.arange(len(table)), places], places)


def _interval(values: Sequence[tuple[float, ...]], codes: Any = None) -> tuple[Range | None, str]:
    """Of the true error; none where items share passages. The value stays Guo's, as peers print it, which noise makes
    too large.
    """
    found = None if codes is not None else debiased(values).interval
    return found, "none" if found is None else "folded-normal"


ece = share_metric(
    "ece",
    ece_sample,
    kind="choice",
    combine=Combine(calibration_error, interval=_interval),
    higher_is_better=False,
    source="Guo et al. 2017, arXiv 1706.04599, section 3 (after Naeini et al. 2015)",
    describe=lambda args, values: f"bins:{BINS}|prob:softmax|debiased:{debiased(values).debiased:.4f}",
)
