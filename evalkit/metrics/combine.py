"""How items' values become one number with its error.

A `Combine` is a function of the items' values. Most are functions of sums: an item's value is a number (which sums as
(value, 1)) or a tuple of statistics, and because these add up, intervals and the paired tests of `evalkit compare` need
the function alone. Others (ROC-AUC) need all items' values at once. A metric without one is the mean of its items.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from evalkit.contract.errors import UserError
from evalkit.contract.types import MEAN, Bounds
from evalkit.statistics import intervals
from evalkit.statistics.choice import cut_of, interval_for
from evalkit.statistics.clusters import codes_of
from evalkit.statistics.corpus import corpus_estimate, items_estimate
from evalkit.statistics.inference import Inference

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Codes = NDArray[np.int64]

Value = float | tuple[float, ...] | None
"""One item's value: a number; a tuple of statistics; None where the metric does not apply."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value (None for no samples), its standard error, its 95 % interval, and how the interval was computed."""

    value: float | None
    stderr: float | None
    interval: tuple[float, float] | None
    method: str


NOTHING = Estimate(None, None, None, "none")


Interval = Callable[[Sequence[Any], "Codes | None"], tuple[tuple[float, float] | None, str]]
"""Items' values and, where items share something, their clusters' numbers -> the interval and its method's name."""


@dataclass(frozen=True, slots=True)
class Combine:
    """``function`` gets the summed statistics, shape (statistics,), or with ``over="items"`` the list of all items'
    values. ``name`` is what results record; "" takes the metric's registered name.

    ``closed`` gives the estimate where its error has a formula, ``interval`` only the interval and its method's name.
    Without ``errors`` there is neither interval nor test: items drawn again, or left out, say nothing of what other
    items would have given.
    """

    function: Callable[[Any], float]
    name: str = ""
    over: Literal["sums", "items"] = "sums"
    closed: Callable[[Sequence[Any]], Estimate] | None = None
    errors: bool = True
    interval: Interval | None = None

    def value(self, values: Sequence[Any]) -> float:
        """The number of these items; ``values`` holds no None and is not empty. UserError where ``function`` fails."""
        try:
            return float(self.function(table(values).sum(axis=0) if self.over == "sums" else list(values)))
        except UserError:
            raise
        except Exception as error:  # a plug-in's function may fail in its own way
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise UserError(f"its items cannot be joined (combine over {len(values)} items): {reason}") from error


def items(function: Callable[[Sequence[Any]], float]) -> Combine:
    """A ``combine`` of all items' values at once, for what no sum gives. It may raise ValueError where items lack
    something (a class without members): without them there is no interval.
    """
    return Combine(function, over="items")


def table(values: Sequence[Any]) -> Matrix:
    """Items' values as a matrix, shape (items, statistics); a number v is (v, 1). UserError for unequal lengths."""
    import numpy as np

    rows = [one if isinstance(one, tuple) else (one, 1.0) for one in values]
    if len(lengths := {len(row) for row in rows}) > 1:
        raise UserError(f"its items have between {min(lengths)} and {max(lengths)} statistics, which do not add up")
    return np.array(rows, dtype=float)


def estimate(
    combine: Combine,
    values: Sequence[Any],
    *,
    binary: bool = False,
    bounds: Bounds | None = None,
    seed: int = 1234,
    clusters: Sequence[str] | None = None,
) -> Estimate:
    """The number with its error. ``binary``: values are 0 or 1. ``seed`` is for resampling. ``clusters``: one label an
    item, of those that belong together; they are for the interval, and standard errors stay those of independent items.

    Means: `statistics.choice.interval_for`. Others: by formula where there is one; else the bootstrap's standard error
    (Koehn 2004) and the jackknife's interval, and neither where ``function`` fails without some of the items.
    UserError where it fails with all of them.
    """
    if not values:
        return NOTHING
    closed = None if combine.closed is None else combine.closed(values)
    codes = None if clusters is None else codes_of(clusters)
    if closed is not None and closed.stderr is not None and combine.interval is not None:
        ends, method = combine.interval(values, codes)
        return replace(closed, interval=ends, method=method)
    if closed is not None and (clusters is None or closed.stderr is None):
        return closed
    if combine.name == MEAN:
        value = sum(values) / len(values)
        found = interval_for(values, bounds=bounds, binary=binary, clusters=clusters)
        return _estimate(value, intervals.mean_stderr(values), found)
    value = combine.value(values)
    if math.isnan(value):
        return NOTHING
    if not combine.errors:
        return Estimate(value, None, None, "none")
    held = table(values) if combine.over == "sums" else None

    def of_rows(rows: Any) -> float:
        if held is not None:
            return float(combine.function(held[rows].sum(axis=0)))
        return float(combine.function([values[row] for row in rows]))

    cut = cut_of(bounds)
    try:
        if held is not None:
            found = corpus_estimate(held, combine.function, codes=codes, bounds=cut, seed=seed)
        else:
            found = items_estimate(len(values), of_rows, codes=codes, bounds=cut, seed=seed)
        if closed is not None:
            return _estimate(value, closed.stderr, found)
        spread = intervals.bootstrap_interval(of_rows, len(values), seed)
    except Exception:  # without some items a function may lack what it needs (a class without members)
        return Estimate(value, None, None, "none")
    stderr = None if spread is None or math.isnan(spread[0]) else spread[0]
    if combine.interval is not None:
        return Estimate(value, stderr, *combine.interval(values, codes))
    return _estimate(value, stderr, found)


def _estimate(value: float, stderr: float | None, inference: Inference) -> Estimate:
    interval = inference.interval()
    return Estimate(value, stderr, interval, "none" if interval is None else inference.method.partition("|")[0])


# -- the functions -------------------------------------------------------------------------------------------------


def mean(sums: Sequence[float]) -> float:
    """The arithmetic mean of summed (value, 1)."""
    return float(sums[0] / sums[1])


def perplexity(sums: Sequence[float]) -> float:
    """exp(-log-likelihood / weight) of summed (log-likelihood in nats, weight); infinite beyond what a float holds."""
    rate = float(-sums[0] / sums[1])
    return math.exp(rate) if rate < 709.0 else math.inf


def bits_per_byte(sums: Sequence[float]) -> float:
    """Minus the base-2 log-likelihood a byte, of summed (log-likelihood in nats, bytes)."""
    return float(-sums[0] / sums[1] / math.log(2))


def distinct_by_words(values: Sequence[tuple[float, ...]]) -> float:
    """Different n-grams over all words of the corpus, of (words, n-gram, n-gram, ...); nan where it has none."""
    total = sum(value[0] for value in values if value)
    return len(set().union(*(value[1:] for value in values))) / total if total else math.nan


def distinct(values: Sequence[tuple[float, ...]]) -> float:
    """Different n-grams over all n-grams of the corpus; nan where it has none. Results of evalkit 0.1 name it."""
    total = sum(map(len, values))
    return len(set().union(*values)) / total if total else math.nan


def entropy(values: Sequence[tuple[float, ...]]) -> float:
    """Shannon entropy in bits of the corpus's n-grams; nan where it has none."""
    counts = Counter(one for value in values for one in value)
    total = sum(counts.values())
    if not total:
        return math.nan
    return -math.fsum(count / total * math.log2(count / total) for count in counts.values()) + 0.0


def _closed_perplexity(values: Sequence[float]) -> Estimate:
    """exp of minus the mean log-likelihood a sample; the error by the delta method on the logarithm."""
    return _exponential(-sum(values) / len(values), intervals.mean_stderr(values), len(values))


def _closed_weighted_perplexity(values: Sequence[tuple[float, float]]) -> Estimate:
    """exp of minus the log-likelihood a unit of weight (word or byte)."""
    rate, stderr = _rate(values)
    return NOTHING if rate is None else _exponential(rate, stderr, len(values))


def _closed_bits(values: Sequence[tuple[float, float]]) -> Estimate:
    rate, stderr = _rate(values)
    if rate is None:
        return NOTHING
    bits = rate / math.log(2)
    bits_stderr = None if stderr is None else stderr / math.log(2)
    return Estimate(bits, bits_stderr, intervals.t_interval(bits, bits_stderr, len(values)), "delta-t")


def _perplexity_interval(values: Sequence[Any], codes: Codes | None) -> tuple[tuple[float, float] | None, str]:
    """Of the nats a unit of weight, by leaving out each text, carried over: where a few texts hold most of the words,
    the delta method knows less of its own error than it says.
    """
    ends = corpus_estimate(table(values), lambda sums: float(-sums[0] / sums[1]), codes=codes).interval()
    if ends is None:
        return None, "none"
    return (math.exp(min(ends[0], 700.0)), math.exp(ends[1]) if ends[1] < 700 else math.inf), "log-jackknife-t"


def _bits_interval(values: Sequence[Any], codes: Codes | None) -> tuple[tuple[float, float] | None, str]:
    ends = corpus_estimate(table(values), lambda sums: bits_per_byte(sums.tolist()), codes=codes).interval()
    return ends, "none" if ends is None else "jackknife-t"


def _rate(values: Sequence[tuple[float, float]]) -> tuple[float | None, float | None]:
    """Nats a unit of weight and its standard error; (None, None) where there is no weight."""
    weights = [weight for _, weight in values]
    total = sum(weights)
    if not total:
        return None, None
    lls = [ll for ll, _ in values]
    return -sum(lls) / total, intervals.ratio_stderr(lls, weights)


def _exponential(exponent: float, stderr: float | None, n: int) -> Estimate:
    """exp(exponent) with the interval of the exponent carried over, so that its lower bound stays above 0."""
    try:
        value = math.exp(exponent)
    except OverflowError:  # a model that gives a text the probability 0
        return Estimate(math.inf, None, None, "none")
    half = intervals.t_half_width(stderr, n)
    if stderr is None or half is None:
        return Estimate(value, None, None, "none")
    upper = math.exp(exponent + half) if exponent + half < 700 else math.inf
    return Estimate(value, value * stderr, (math.exp(exponent - half), upper), "log-delta-t")


NAMED: Mapping[str, Combine] = {
    one.name: one
    for one in (
        Combine(mean, MEAN),
        Combine(perplexity, "perplexity", closed=_closed_perplexity),
        Combine(perplexity, "weighted_perplexity", closed=_closed_weighted_perplexity, interval=_perplexity_interval),
        Combine(bits_per_byte, "bits_per_byte", closed=_closed_bits, interval=_bits_interval),
        # Resampled texts repeat themselves; the plug-in estimate of entropy is biased downwards.
        Combine(distinct_by_words, "distinct_by_words", over="items", errors=False),
        Combine(distinct, "distinct", over="items", errors=False),
        Combine(entropy, "entropy", over="items", errors=False),
    )
}
"""What a metric may name instead of giving a function of its own."""


def named(name: str) -> Combine:
    """The shipped function called ``name``; UserError lists those there are."""
    if name not in NAMED:
        raise UserError(f"unknown aggregator {name!r}: choose one of {', '.join(NAMED)}, or give a function")
    return NAMED[name]
