"""How per-sample values become one number with its error: means, perplexities, ratios.

Each aggregator takes the values of all scored samples and gives an ``Estimate``. Values of "mean" and "perplexity" are
numbers; those of the weighted ones are pairs (log-likelihood in nats, weight in words or bytes). Those of corpus
metrics are sufficient statistics that add up over samples (evalkit.metrics.corpus).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.metrics.corpus import FROM_SUMS, Summed
from evalkit.statistics import intervals


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value (None for no samples), its standard error, its 95 % interval, and how the interval was computed."""

    value: float | None
    stderr: float | None
    interval: tuple[float, float] | None
    method: str


@dataclass(frozen=True, slots=True)
class Aggregator:
    """``estimate(values, binary, seed)``: ``binary`` says that values are 0 or 1; ``seed`` is for resampling."""

    estimate: Callable[[Sequence[Any], bool, int], Estimate]


NOTHING = Estimate(None, None, None, "none")


def mean(values: Sequence[float], binary: bool, seed: int) -> Estimate:
    """The arithmetic mean: Wilson's interval where every value is 0 or 1, else Student's t."""
    if not values:
        return NOTHING
    n = len(values)
    value = sum(values) / n
    stderr = intervals.mean_stderr(values)
    if binary and all(one in (0.0, 1.0) for one in values):
        return Estimate(value, stderr, intervals.wilson(round(sum(values)), n), "wilson")
    return Estimate(value, stderr, intervals.t_interval(value, stderr, n), "t")


def perplexity(values: Sequence[float], binary: bool, seed: int) -> Estimate:
    """exp of minus the mean log-likelihood a sample; the error by the delta method on the logarithm."""
    if not values:
        return NOTHING
    return _exponential(-sum(values) / len(values), intervals.mean_stderr(values), len(values))


def weighted_perplexity(values: Sequence[tuple[float, float]], binary: bool, seed: int) -> Estimate:
    """exp of minus the log-likelihood a unit of weight (word or byte)."""
    rate, stderr = _rate(values)
    return NOTHING if rate is None else _exponential(rate, stderr, len(values))


def bits_per_byte(values: Sequence[tuple[float, float]], binary: bool, seed: int) -> Estimate:
    """Minus the base-2 log-likelihood a byte."""
    rate, stderr = _rate(values)
    if rate is None:
        return NOTHING
    bits = rate / math.log(2)
    bits_stderr = None if stderr is None else stderr / math.log(2)
    return Estimate(bits, bits_stderr, intervals.t_interval(bits, bits_stderr, len(values)), "delta-t")


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


def summed(score: Summed) -> Callable[[Sequence[tuple[float, ...]], bool, int], Estimate]:
    """A corpus metric out of summed sufficient statistics; its error by resampling samples (Koehn 2004)."""

    def estimate(values: Sequence[tuple[float, ...]], binary: bool, seed: int) -> Estimate:
        if not values:
            return NOTHING
        import numpy as np

        table = np.array(values, dtype=float)
        value = score(table.sum(axis=0))
        spread = intervals.bootstrap_interval(lambda rows: score(table[rows].sum(axis=0)), len(table), seed)
        if spread is None:
            return Estimate(value, None, None, "none")
        return Estimate(value, spread[0], spread[1], "bootstrap1000")

    return estimate


def distinct(values: Sequence[tuple[float, ...]], binary: bool, seed: int) -> Estimate:
    """Different n-grams over all n-grams of the corpus; no interval, for resampled texts repeat themselves."""
    total = sum(map(len, values))
    return Estimate(len(set().union(*values)) / total, None, None, "none") if total else NOTHING


def entropy(values: Sequence[tuple[float, ...]], binary: bool, seed: int) -> Estimate:
    """Shannon entropy in bits of the corpus's n-grams; no interval, for the plug-in estimate is biased downwards."""
    counts = Counter(one for value in values for one in value)
    total = sum(counts.values())
    if not total:
        return NOTHING
    bits = -math.fsum(count / total * math.log2(count / total) for count in counts.values())
    return Estimate(bits + 0.0, None, None, "none")


AGGREGATORS: Mapping[str, Aggregator] = {
    "mean": Aggregator(mean),
    "perplexity": Aggregator(perplexity),
    "weighted_perplexity": Aggregator(weighted_perplexity),
    "bits_per_byte": Aggregator(bits_per_byte),
    "distinct": Aggregator(distinct),
    "entropy": Aggregator(entropy),
    **{name: Aggregator(summed(score)) for name, score in FROM_SUMS.items()},
}


def get(name: str) -> Aggregator:
    """The aggregator called ``name``; UserError lists those there are."""
    if name not in AGGREGATORS:
        raise UserError(f"unknown aggregator {name!r}: choose one of {', '.join(AGGREGATORS)}")
    return AGGREGATORS[name]
