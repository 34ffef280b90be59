"""Which method a series of values gets: one run's mean, and the difference of two runs on the same items.

| Values | Independent items | Clusters or strata |
| 0 or 1 | Wilson's, no shorter than mid-p | score with design effect, no shorter than Korn and Graubard's mid-p |
| differences of 0 and 1 | Tango's, no shorter than mid-p | the same |
| bounded on both sides | score, no shorter than mid-p | the same |
| others | Student's t | CR2 with Bell and McCaffrey's degrees of freedom |

Every function returns an `Inference`, whose p-values agree with its intervals at every null value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.statistics.bounded import bounded_mean
from evalkit.statistics.clusters import Clustered, cluster_mean, codes_of
from evalkit.statistics.inference import FromTails, Inference, Range, Shifted, Unknown, combined, crossing, student
from evalkit.statistics.score import ScoreMean, score_mean
from evalkit.statistics.shares import PairedShares, Share
from evalkit.statistics.strata import weighted_means

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

Bounds = tuple[float | None, float | None]
Labels = Sequence[Any]
TAIL = 0.025
"""The tail at which the widening for few clusters is exact in the mid-p form (elsewhere it is nearly so)."""

MOST_PER_ITEM = 20.0
"""Zeros and ones that one item of little variance may count for in a group's average."""


@dataclass(frozen=True)
class Stricter(FromTails):
    """Two methods of which, at every null, the larger p-value stands: the interval spans both intervals."""

    first: Inference
    second: Inference
    value: float
    stderr: float | None
    n: int
    span: Range
    method: str

    def tails(self, null: float) -> Range:
        """See `Inference.tails`."""
        one, other = self.first.tails(null), self.second.tails(null)
        return max(one[0], other[0]), max(one[1], other[1])

    def interval(self, level: float = 0.95) -> Range | None:
        """See `Inference.interval`."""
        found = self.first.interval(level)
        if found is None:
            return self.second.interval(level)
        (low, high), tail = found, (1 - level) / 2
        if self.second.tails(low)[1] > tail:
            low = crossing(lambda null: self.second.tails(null)[1] - tail, self.span[0], low)
        if self.second.tails(high)[0] > tail:
            high = crossing(lambda null: tail - self.second.tails(null)[0], high, self.span[1])
        return low, high


def interval_for(
    values: Sequence[float] | Vector,
    *,
    bounds: Bounds | None = None,
    binary: bool = False,
    clusters: Labels | None = None,
) -> Inference:
    """One run's mean. ``bounds`` are the metric's, by definition (None: not known, or on that side unbounded).

    ``clusters`` labels the items that belong together (one label an item). Raises ValueError for no values.
    """
    import numpy as np

    kept = np.asarray(values, dtype=float)
    if not len(kept):
        raise ValueError("an interval needs at least one value")
    if binary and clusters is None and bool(np.isin(kept, (0.0, 1.0)).all()):
        return Share(int(kept.sum()), len(kept))
    return _mean(kept, span_of(kept, bounds, binary), _codes(clusters, len(kept)), cut_of(bounds))


def difference_for(
    base: Sequence[float] | Vector,
    candidate: Sequence[float] | Vector,
    *,
    bounds: Bounds | None = None,
    binary: bool = False,
    clusters: Labels | None = None,
) -> Inference:
    """Candidate minus base on the same items, in the same order; ``bounds`` are the metric's, not the difference's.

    Raises ValueError for unequal lengths or no items.
    """
    import numpy as np

    a, b = np.asarray(base, dtype=float), np.asarray(candidate, dtype=float)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise ValueError(f"a paired difference needs two equally long vectors, not {a.shape} and {b.shape}")
    shares = (binary or bounds == (0.0, 1.0)) and bool(np.isin(a, (0.0, 1.0)).all() and np.isin(b, (0.0, 1.0)).all())
    if shares and clusters is None:
        return _paired_shares(b - a)
    span = _difference_span(span_of(np.concatenate([a, b]), bounds, binary))
    return _mean(b - a, span, _codes(clusters, len(a)), (-math.inf, math.inf))


def average_for(
    tasks: Sequence[Sequence[float] | Vector],
    weights: Sequence[float] | None = None,
    *,
    bounds: Bounds | None = None,
    binary: bool = False,
    clusters: Sequence[Labels | None] | None = None,
) -> Inference:
    """The weighted average of several tasks' means (by default every task the same), the tasks taken as they are:
    another run would have the same tasks and other items. ``clusters``: labels inside each task.
    """
    import numpy as np

    kept = [np.asarray(values, dtype=float) for values in tasks]
    span = span_of(np.concatenate(kept), bounds, binary) if kept else None
    return _stratified(kept, weights, span, clusters, cut_of(bounds))


def average_difference_for(
    base: Sequence[Sequence[float] | Vector],
    candidate: Sequence[Sequence[float] | Vector],
    weights: Sequence[float] | None = None,
    *,
    bounds: Bounds | None = None,
    binary: bool = False,
    clusters: Sequence[Labels | None] | None = None,
) -> Inference:
    """Candidate minus base of the weighted average of several tasks, each paired on its own items."""
    import numpy as np

    a = [np.asarray(values, dtype=float) for values in base]
    b = [np.asarray(values, dtype=float) for values in candidate]
    if [one.shape for one in a] != [one.shape for one in b]:
        raise ValueError("a paired average needs the same items of every task on both sides")
    span = _difference_span(span_of(np.concatenate([*a, *b]), bounds, binary)) if a else None
    differences = [other - one for one, other in zip(a, b, strict=True)]
    return _stratified(differences, weights, span, clusters, (-math.inf, math.inf))


def average_of_estimates(
    values: Sequence[float],
    stderrs: Sequence[float],
    sizes: Sequence[int],
    weights: Sequence[float],
    bounds: Bounds | None = None,
) -> Inference:
    """The weighted sum of tasks of which only mean, standard error and number of items are known, for group averages.

    Bounded on both sides: the score interval, every task standing for as many zeros and ones as have its variance (at
    most MOST_PER_ITEM an item; as many as it has items where it does not vary). Others: Student's t by Satterthwaite.
    """
    import numpy as np

    low, high = bounds or (None, None)
    stderr = math.sqrt(sum((weight * error) ** 2 for weight, error in zip(weights, stderrs, strict=True)))
    if low is None or high is None or not all(low <= value <= high for value in values):
        known = zip(values, stderrs, sizes, strict=True)
        return combined([student(value, error, n - 1, n) for value, error, n in known], weights, cut_of(bounds))
    width = high - low
    tasks, counts = [], []
    for value, error, n in zip(values, stderrs, sizes, strict=True):
        share = (value - low) / width
        told = share * (1 - share) / (error / width) ** 2 * n / max(n - 1, 1) if error > 0 else float(n)
        counts.append(min(max(told, 1.0), MOST_PER_ITEM * n))
        tasks.append(share)
    shares = np.array(tasks)
    total = sum(weights)
    times = np.column_stack([(1 - shares) * counts, shares * counts]).ravel()
    seen = times > 0
    parts = [
        (weight * max(error / width, 1 / (n + 1) / math.sqrt(n))) ** 2
        for weight, error, n in zip(weights, stderrs, sizes, strict=True)
    ]
    score = ScoreMean(
        value=float(np.dot(weights, shares)),
        stderr=None,
        n=sum(sizes),
        points=np.tile([0.0, 1.0], len(tasks))[seen],
        counts=times[seen],
        strata=np.repeat(np.arange(len(tasks)), 2)[seen],
        weights=np.asarray(weights, dtype=float),
        sizes=np.array(counts),
        deffs=np.ones(len(tasks)),
        span=(0.0, 1.0),
        freedom=_satterthwaite(parts, _freedoms(parts, sizes)),
    )
    return Shifted(_no_shorter_than_midp(score, stderr / width), total * low, width)


def _no_shorter_than_midp(score: ScoreMean, stderr: float, freedom: float = math.inf) -> Stricter:
    """The score method over strata, joined with the mid-p form; ``freedom``: that of the design effects."""
    shapes = score.counts / (score.deffs * _widening(freedom))[score.strata]
    exact = weighted_means(score.points, shapes, score.strata, score.weights, score.span, score.n)
    method = f"score-midp|strata:{len(score.weights)}"
    return Stricter(score, exact, score.value, stderr, score.n, exact.span, method)


def span_of(values: Vector, bounds: Bounds | None, binary: bool) -> Range | None:
    """(low, high) of a metric that is bounded on both sides; None for others, and where a value leaves its bounds."""
    low, high = (0.0, 1.0) if binary else bounds or (None, None)
    if low is None or high is None or not high > low or not len(values):
        return None
    slack = 1e-9 * (high - low)
    return (low, high) if float(values.min()) >= low - slack and float(values.max()) <= high + slack else None


def cut_of(bounds: Bounds | None) -> Range:
    """Where an interval must end."""
    low, high = bounds or (None, None)
    return -math.inf if low is None else low, math.inf if high is None else high


def _difference_span(span: Range | None) -> Range | None:
    return None if span is None else (span[0] - span[1], span[1] - span[0])


def _codes(clusters: Labels | None, n: int) -> NDArray[np.int64] | None:
    """Cluster numbers; None where every item stands alone."""
    if clusters is None:
        return None
    if len(clusters) != n:
        raise ValueError(f"{n} items need {n} cluster labels, not {len(clusters)}")
    codes = codes_of(clusters)
    return codes if int(codes.max()) + 1 < n else None


def _mean(values: Vector, span: Range | None, codes: NDArray[np.int64] | None, cut: Range) -> Inference:
    import numpy as np

    n, value = len(values), float(values.mean())
    if not np.isfinite(values).all():
        return Unknown(value, n, "a value is not finite")
    group = None if codes is None else cluster_mean(values, codes) if int(codes.max()) > 0 else None
    if codes is not None and group is None:
        return Unknown(value, n, "all items belong to one cluster")
    if span is None:
        return _student(values, group, cut)
    values = np.clip(values, *span)
    deff, freedom = (1.0, math.inf) if group is None else (group.deff, group.freedom)
    stderr = None if n < 2 else float(values.std(ddof=1)) * math.sqrt(deff / n)
    score = score_mean([values], [1.0], span, deffs=[deff], freedom=freedom)
    exact = bounded_mean(values, span, deff=deff * _widening(freedom), mid_p=True)
    name = "score-midp" if group is None else f"score-midp|cr2:{group.count}"
    return Stricter(score, exact, value, stderr, n, span, name)


def _paired_shares(differences: Vector) -> Stricter:
    """Of differences -1, 0 and 1. `score_mean` gives the same as Tango's closed form, more slowly."""
    n = len(differences)
    tango = PairedShares(int((differences > 0).sum()), int((differences < 0).sum()), n)
    exact = bounded_mean(differences, tango.span, mid_p=True)
    return Stricter(tango, exact, tango.value, tango.stderr, n, tango.span, "tango-midp")


def _widening(freedom: float) -> float:
    """(t / z)^2: Korn and Graubard's allowance for a variance that is itself estimated."""
    from scipy.stats import norm, t

    return 1.0 if math.isinf(freedom) else float((t.isf(TAIL, freedom) / norm.isf(TAIL)) ** 2)


def _student(values: Vector, group: Clustered | None, cut: Range) -> Inference:
    n, value = len(values), float(values.mean())
    if n < 2:
        return Unknown(value, n, "one item has no spread")
    if group is None:
        return student(value, float(values.std(ddof=1)) / math.sqrt(n), n - 1, n, "t", cut)
    return student(value, math.sqrt(group.variance), group.freedom, n, f"t:cr2|clusters:{group.count}", cut)


def _stratified(
    tasks: Sequence[Vector],
    weights: Sequence[float] | None,
    span: Range | None,
    clusters: Sequence[Labels | None] | None,
    cut: Range,
) -> Inference:
    if not tasks or any(not len(values) for values in tasks):
        raise ValueError("an average needs at least one task, and each of them at least one value")
    shares = [1 / len(tasks)] * len(tasks) if weights is None else list(weights)
    labels = [None] * len(tasks) if clusters is None else list(clusters)
    codes = [_codes(own, len(values)) for own, values in zip(labels, tasks, strict=True)]
    if len(tasks) == 1 and shares[0] == 1:
        return _mean(tasks[0], span, codes[0], cut)
    if span is None:
        return combined([_mean(own, None, code, cut) for own, code in zip(tasks, codes, strict=True)], shares, cut)
    return _stratified_score(tasks, shares, span, codes)


def _stratified_score(
    tasks: Sequence[Vector], weights: Sequence[float], span: Range, codes: Sequence[NDArray[np.int64] | None]
) -> Inference:
    """The score interval over strata; Satterthwaite's degrees of freedom from those strata that have clusters."""
    import numpy as np

    deffs, squares, floored, groups = [], [], [], []
    for values, weight, code in zip(tasks, weights, codes, strict=True):
        if code is not None and int(code.max()) == 0:
            value = float(sum(w * float(v.mean()) for w, v in zip(weights, tasks, strict=True)))
            return Unknown(value, sum(map(len, tasks)), "all items of a task belong to one cluster")
        group = None if code is None else cluster_mean(values, code)
        deffs.append(1.0 if group is None else group.deff)
        # A task without spread gets the variance that one item at the other end would make.
        own = float(values.var(ddof=1)) if len(values) > 1 else 0.0
        least = (span[1] - span[0]) ** 2 / (len(values) + 1) ** 2
        squares.append(weight**2 * own * deffs[-1] / len(values))
        floored.append(weight**2 * max(own, least) * deffs[-1] / len(values))
        groups.append(group)
    clipped = [np.clip(values, *span) for values in tasks]
    known = [math.inf if group is None else group.freedom for group in groups]
    freedom = _satterthwaite(
        floored,
        [
            min(one, other)
            for one, other in zip(known, _freedoms(floored, [len(values) for values in tasks]), strict=True)
        ],
    )
    score = score_mean(clipped, weights, span, deffs=deffs, freedom=freedom)
    return _no_shorter_than_midp(score, math.sqrt(sum(squares)), _satterthwaite(floored, known))


def _freedoms(variances: Sequence[float], sizes: Sequence[int]) -> list[float]:
    """Degrees of freedom of each task's share in the variance of an average: its items less its own fitted mean, of
    which the null gives a part.
    """
    total = sum(variances)
    return [size - 1 + variance / total for variance, size in zip(variances, sizes, strict=True)]


def _satterthwaite(variances: Sequence[float], freedoms: Sequence[float]) -> float:
    """Degrees of freedom of a sum of estimated variances (Satterthwaite 1946)."""
    spread = sum(v**2 / freedom for v, freedom in zip(variances, freedoms, strict=True) if v > 0)
    return sum(variances) ** 2 / spread if spread > 0 else math.inf
