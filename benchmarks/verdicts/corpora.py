"""Metrics of a whole corpus."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

import evalkit
from evalkit.metrics.base import Metric
from evalkit.metrics.finding import combine_of
from verdicts.commands import decide, single
from verdicts.drawing import ALARM, COVER, Effort, Vector, least, most, simulate


def corpus_f1(sums: Vector) -> float:
    return 2 * sums[0] / (2 * sums[0] + sums[1] + sums[2]) if sums[0] > 0 else 0.0


F1 = Metric(name="simulated_f1", kind="text", higher_is_better=True, combine=corpus_f1, bounds=(0.0, 1.0), unit="share")
"""Registered, so that its items are joined as a package's are."""


def perplexity_pairs(spread: float) -> Callable[[np.random.Generator, int], tuple[Vector, Vector]]:
    """Texts of log-normal length (``spread``: its standard deviation) that two equal models score nearly alike."""

    def draw(generator: np.random.Generator, n: int) -> tuple[Vector, Vector]:
        words = np.exp(generator.normal(5, spread, n))
        shared = words * generator.normal(3.0, 0.4, n)
        sides = [-(shared + words * generator.normal(0, 0.1, n)) for _ in range(2)]
        return np.column_stack([sides[0], words]), np.column_stack([sides[1], words])

    return draw


def bleu_pairs(generator: np.random.Generator, n: int) -> tuple[Vector, Vector]:
    """Matching n-grams of sentences of 8 to 40 words, a little shorter than their references; two equal systems whose
    quality goes together.
    """
    length, quality = generator.integers(8, 40, n), generator.beta(4, 3, n)
    reference = np.maximum(length + generator.integers(-1, 5, n), 1)
    totals = [np.maximum(length - order, 0) for order in range(4)]

    def side() -> Vector:
        own = np.clip(quality + generator.normal(0, 0.08, n), 0.02, 0.98)
        matches = [generator.binomial(total, own ** (order + 1)) for order, total in enumerate(totals)]
        return np.column_stack([length, reference, *matches, *totals]).astype(float)

    return side(), side()


def f1_pairs(generator: np.random.Generator, n: int) -> tuple[Vector, Vector]:
    """True positives, false positives and misses of 5 entities a text."""

    def side() -> Vector:
        hits = generator.binomial(5, 0.6, n)
        return np.column_stack([hits, generator.poisson(1, n), 5 - hits]).astype(float)

    return side(), side()


def corpus(effort: Effort) -> Iterator[str]:
    evalkit.register_metric(F1.name, F1, replace=True)
    sizes = (5, 8, 12, 20, 50, 200)
    yield "Pairs without a difference: false alarms; one run: coverage."
    yield ""
    yield "| Metric | Shows | " + " | ".join(f"n = {n}" for n in sizes) + " |"
    yield "|:--|:--|" + "--:|" * len(sizes)
    for name, draw, aggregate, bounds, cost in (
        ("perplexity, texts of like length", perplexity_pairs(0.4), "weighted_perplexity", None, 2.0),
        ("perplexity, a few very long texts", perplexity_pairs(1.2), "weighted_perplexity", None, 2.0),
        ("corpus F1", f1_pairs, F1.name, (0.0, 1.0), 2.0),
        ("BLEU", bleu_pairs, "bleu", (0.0, 100.0), 3.0),
    ):
        alarms, covers = [], []
        whole = draw(effort.generator("truth", name), 200_000)[0]
        truth = float(combine_of(aggregate).function(whole.sum(axis=0)))
        for n in sizes:
            pair = simulate(
                lambda g, n=n, d=draw, a=aggregate, b=bounds: decide(*d(g, n), bounds=b, aggregate=a).gain,  # type: ignore[misc]
                0.0, effort.of(cost * (1 + n / 100) / 2), effort.generator("corpus", name, n),
            )  # fmt: skip
            one = simulate(
                lambda g, n=n, d=draw, a=aggregate, b=bounds: single(d(g, n)[0], a, b),  # type: ignore[misc]
                truth, effort.of(cost * (1 + n / 100) / 2), effort.generator("corpus one", name, n),
            )  # fmt: skip
            alarms.append(f"{most(1 - pair.covered, ALARM, pair.runs)} ({pair.width:.3g})")
            covers.append(f"{least(one.covered, COVER, one.runs)} ({one.width:.3g})")
        yield f"| {name} | false alarms | " + " | ".join(alarms) + " |"
        yield "| | coverage | " + " | ".join(covers) + " |"
