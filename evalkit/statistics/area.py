"""The area under the ROC curve with its interval."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from evalkit.statistics.intervals import Z95

if TYPE_CHECKING:
    import numpy.typing as npt


def area_under_curve(scores: npt.ArrayLike, right: npt.ArrayLike) -> tuple[float, tuple[float, float]] | None:
    """The probability that one of ``right`` scores above another, ties half (Mann and Whitney), and its 95 % interval
    by Hanley and McNeil 1982 (Radiology 143, 29-36), cut at 0 and 1. None where all are of one kind.
    """
    from scipy.stats import rankdata

    values, kinds = np.asarray(scores, dtype=float), np.asarray(right, dtype=bool)
    count, rest = int(kinds.sum()), int((~kinds).sum())
    if not count or not rest:
        return None
    area = float((rankdata(values)[kinds].sum() - count * (count + 1) / 2) / (count * rest))
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    square = area * (1 - area) + (count - 1) * (one - area**2) + (rest - 1) * (two - area**2)
    half = Z95 * math.sqrt(max(square, 0.0) / (count * rest))
    return area, (max(area - half, 0.0), min(area + half, 1.0))
