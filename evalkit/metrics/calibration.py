"""Expected calibration error of multiple-choice tasks, from the probabilities among the choices.

A choice's probability is the softmax of the summed log-likelihoods; confidence is the largest of them. The Brier score
is in evalkit.metrics.choice.
"""

from __future__ import annotations

from evalkit.metrics.base import MetricDef, ScoringInput
from evalkit.metrics.choice import best, gold_indices, softmax
from evalkit.metrics.corpus import BINS


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


ece = MetricDef(
    "ece",
    "choice",
    ece_sample,
    "ece",
    False,
    False,
    "Guo et al. 2017, arXiv 1706.04599, section 3 (after Naeini et al. 2015)",
    describe=lambda args, values: f"bins:{BINS}|prob:softmax",
)
