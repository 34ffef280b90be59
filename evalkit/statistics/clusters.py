"""Items that come in clusters: a passage's questions, one question's variants.

The variance of the mean over all items is CR2 with the degrees of freedom of Bell and McCaffrey (2002, Survey
Methodology 28; Pustejovsky and Tipton 2018, Journal of Business & Economic Statistics 36), for which a mean, that is a
regression on a constant, has closed forms. The degrees of freedom need a guess of how alike items of a cluster are;
independent items, the usual guess, give too many when clusters are unequal and alike, so that the guess is the
correlation that the items show (Imbens and Kolesar 2016, Review of Economics and Statistics 98).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Clustered:
    """The variance of a mean over clustered items.

    ``variance`` is CR2's, ``freedom`` Bell and McCaffrey's, ``deff`` the variance over that of as many independent
    items (at least 1), ``count`` the number of clusters, ``correlation`` within clusters (0 to 1).
    """

    variance: float
    freedom: float
    deff: float
    count: int
    correlation: float


def codes_of(labels: Sequence[Any]) -> Whole:
    """Cluster numbers 0, 1, ... of any labels, compared as text; shape [items]."""
    import numpy as np

    found: Whole = np.unique(np.asarray([str(label) for label in labels]), return_inverse=True)[1].astype(np.int64)
    return found


def cluster_mean(values: Vector, codes: Whole) -> Clustered:
    """The variance of ``values.mean()`` where items with the same code belong together; at least two clusters."""
    import numpy as np

    n, mean = len(values), float(values.mean())
    sizes = np.bincount(codes).astype(float)
    totals = np.bincount(codes, values - mean)
    rest = 1 - sizes / n
    variance = float((totals**2 / rest).sum()) / n**2
    correlation = _correlation(values, codes, sizes)
    independent = float(values.var(ddof=1)) / n if n > 1 else 0.0
    freedom = _freedom(sizes, correlation)
    deff = max(variance / independent, 1.0) if independent > 0 else 1.0
    # Items that never differ tell nothing of how alike a cluster's items are: take them for copies. Every cluster with
    # an unusual item halves the weight of that guess.
    copies, unusual = float((sizes**2).sum()) / n, _unusual(values, codes)
    deff += max(copies - deff, 0.0) * 0.5**unusual
    return Clustered(max(variance, independent), freedom, deff, len(sizes), correlation)


def _unusual(values: Vector, codes: Whole) -> int:
    """Clusters that hold a value other than the commonest."""
    import numpy as np

    points, places, times = np.unique(values, return_inverse=True, return_counts=True)
    return len(np.unique(codes[places != int(times.argmax())])) if len(points) > 1 else 0


def _correlation(values: Vector, codes: Whole, sizes: Vector) -> float:
    """The one-way analysis of variance's intraclass correlation, cut to 0..1; 1 where nothing varies."""
    import numpy as np

    n, count = len(values), len(sizes)
    if n == count:
        return 0.0
    means = np.bincount(codes, values) / sizes
    between = float((sizes * (means - values.mean()) ** 2).sum()) / (count - 1)
    within = float(((values - means[codes]) ** 2).sum()) / (n - count)
    typical = (n - float((sizes**2).sum()) / n) / (count - 1)
    whole = between + (typical - 1) * within
    return min(max((between - within) / whole, 0.0), 1.0) if whole > 0 else 1.0


def _freedom(sizes: Vector, correlation: float) -> float:
    """(trace G)^2 / trace(G^2), G the covariance of the clusters' adjusted residual totals under the guess.

    With M = I - 1 1'/n and items' covariance block C (1 on the diagonal, ``correlation`` within clusters), cluster g's
    total residual is 1_g' M e: its covariance with h's is [g = h] c_g - (s_g c_h + s_h c_g) / n + s_g s_h C.. / n^2,
    where c_g = s_g (1 + (s_g - 1) correlation) and C.. = sum c.
    """
    import numpy as np

    n = sizes.sum()
    own = sizes * (1 + (sizes - 1) * correlation)
    total = own.sum()
    scale = 1 / np.sqrt(1 - sizes / n)
    # G = diag(own) - (s c' + c s') / n + s s' total / n^2, scaled; its traces without building it.
    s, c = sizes * scale, own * scale
    diagonal = own * scale**2 - 2 * s * c / n + s * s * total / n**2
    root = own * scale**2
    inner = np.array([[s @ s, s @ c], [c @ s, c @ c]])
    # tr(G^2) with G = D + U K U', U = [s, c], K = [[total/n^2, -1/n], [-1/n, 0]].
    k = np.array([[total / n**2, -1 / n], [-1 / n, 0.0]])
    cross = np.array([[(root * s) @ s, (root * s) @ c], [(root * c) @ s, (root * c) @ c]])
    squares = float((root**2).sum()) + 2 * float(np.trace(k @ cross)) + float(np.trace(k @ inner @ k @ inner))
    trace = float(diagonal.sum())
    return trace**2 / squares if squares > 0 else math.inf
