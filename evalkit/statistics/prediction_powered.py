"""Prediction-powered inference: a mean over many items that only a judge saw, corrected by the few that people saw too.

Angelopoulos, Bates, Fannjiang, Jordan and Zrnic (2023, Science 382), with the tuned weight of PPI++ (Angelopoulos,
Duchi and Zrnic 2023, arXiv 2311.01453, section 6). Its normal interval is too sure where the judge agreed with all of a
few people; the score interval of `evalkit.statistics.score` over both parts is not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.statistics.inference import LEVEL, Range
from evalkit.statistics.score import score_mean


@dataclass(frozen=True, slots=True)
class PredictionPowered:
    """``value`` with ``interval``; ``weight`` of the judge's verdicts (0: useless, 1: as good as people's); the mean of
    the people's labels alone and its interval, for comparison; the mean of the judge's verdicts alone.
    """

    value: float
    stderr: float
    interval: Range
    weight: float
    people: float
    people_interval: Range
    judge: float
    labelled: int
    unlabelled: int
    method: str = "ppi++|ci:score"


def prediction_powered_mean(
    labels: Sequence[float],
    judged: Sequence[float],
    unlabelled: Sequence[float],
    *,
    span: Range = (0.0, 1.0),
    level: float = LEVEL,
) -> PredictionPowered:
    """The mean label, from ``labels`` of people, the judge's verdicts ``judged`` on the same items, and its verdicts on
    other items of the same kind. All lie within ``span``. Raises ValueError for fewer than two labels or verdicts.
    """
    import numpy as np

    y, f, rest = (np.asarray(one, dtype=float) for one in (labels, judged, unlabelled))
    if len(y) != len(f) or len(y) < 2 or len(rest) < 2:
        raise ValueError(f"needs at least 2 labels with a verdict each and 2 more verdicts, not {len(y)}, {len(rest)}")
    low, width = span[0], span[1] - span[0]
    y, f, rest = (y - low) / width, (f - low) / width, (rest - low) / width
    n, more = len(y), len(rest)
    spread = float(np.concatenate([f, rest]).var(ddof=1))
    covariance = float(np.cov(y, f)[0, 1])
    weight = min(max(covariance / ((1 + n / more) * spread), 0.0), 1.0) if spread > 0 else 0.0
    rectifier = y - weight * f
    stderr = math.sqrt(weight**2 * float(rest.var(ddof=1)) / more + float(rectifier.var(ddof=1)) / n)
    # Both parts on 0..1: the sum is weight * mean(rest) + (1 + weight) * mean(scaled) - weight.
    scaled = (rectifier + weight) / (1 + weight)
    parts = score_mean([rest, scaled], [weight, 1 + weight], (0.0, 1.0), freedom=float(n - 1))
    found = parts.interval(level) or (0.0, 1.0)
    alone = score_mean([y], [1.0], (0.0, 1.0), freedom=float(n - 1)).interval(level) or (0.0, 1.0)

    def back(value: float) -> float:
        return low + width * min(max(value, 0.0), 1.0)

    return PredictionPowered(
        value=back(parts.value - weight),
        stderr=width * stderr,
        interval=(back(found[0] - weight), back(found[1] - weight)),
        weight=weight,
        people=back(float(y.mean())),
        people_interval=(back(alone[0]), back(alone[1])),
        judge=back(float(np.concatenate([f, rest]).mean())),
        labelled=n,
        unlabelled=more,
    )
