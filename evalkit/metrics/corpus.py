"""Corpus metrics as functions of sufficient statistics summed over samples.

Because the statistics add up, a corpus score of any resample costs one sum: intervals here and paired tests in
`evalkit compare` draw sentences jointly (Koehn 2004, "Statistical significance tests for machine translation
evaluation").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Sums = NDArray[np.float64]

Summed = Callable[[Any], float]
BINS = 15
"""Bins of equal width of the expected calibration error (Guo et al. 2017, arXiv 1706.04599, section 3)."""
BLEU_STATISTICS = 10
"""System length, reference length, 4 counts of matching n-grams, 4 counts of the system's n-grams."""
CHRF_ORDER = 6


def bleu(sums: Sums | Sequence[float]) -> float:
    """BLEU (0 to 100) of summed (system length, reference length, 4 matches, 4 totals), exponential smoothing."""
    from sacrebleu.metrics import BLEU

    whole = [round(float(value)) for value in sums[:BLEU_STATISTICS]]
    return float(BLEU.compute_bleu(whole[2:6], whole[6:10], whole[0], whole[1], smooth_method="exp").score)


def chrf(sums: Sums | Sequence[float]) -> float:
    """chrF2 (0 to 100) of summed (system, reference, matching) counts for each of the 6 character orders."""
    return _chrf(sums, 0)


def chrf_plus_plus(sums: Sums | Sequence[float]) -> float:
    """chrF2++ (0 to 100): 6 character orders and 2 word orders."""
    return _chrf(sums, 2)


def _chrf(sums: Sums | Sequence[float], words: int) -> float:
    whole = [round(float(value)) for value in sums[: 3 * (CHRF_ORDER + words)]]
    return float(_chrf_metric(words)._compute_score_from_stats(whole).score)


@lru_cache(maxsize=4)
def _chrf_metric(words: int) -> Any:
    from sacrebleu.metrics import CHRF

    return CHRF(char_order=CHRF_ORDER, word_order=words)


def ter(sums: Sums | Sequence[float]) -> float:
    """TER in percent of summed (edits, reference length); without reference words 100 if there are edits, else 0."""
    edits, length = float(sums[0]), float(sums[1])
    if length > 0:
        return 100 * edits / length
    return 100.0 if edits > 0 else 0.0


def calibration_error(sums: Sums | Sequence[float]) -> float:
    """Expected calibration error: sum over bins of |sum of (right - confidence)|, over the number of samples.

    ``sums`` holds one such sum a bin and, last, the number of samples.
    """
    return float(sum(abs(float(value)) for value in sums[:BINS])) / float(sums[BINS])


FROM_SUMS: Mapping[str, Summed] = {
    "bleu": bleu,
    "chrf": chrf,
    "chrf++": chrf_plus_plus,
    "ter": ter,
    "ece": calibration_error,
}
"""By the aggregation that a metric's signature names."""
