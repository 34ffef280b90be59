"""What guessing would score on the very documents that were scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from evalkit.contract.types import Classify, SampleResult
from evalkit.task.definition import Definition
from evalkit.task.templates import compile_value

PER_CHOICE = "1/choices"


def known_random(definition: Definition) -> float | None:
    """The random baseline where it is the same for every document, else None."""
    random = definition.baseline.random
    if random == PER_CHOICE and isinstance(definition.choices, tuple):
        return 1 / len(definition.choices)
    return float(random) if isinstance(random, int | float) else None


def random_baseline(definition: Definition, samples: Sequence[SampleResult]) -> float | None:
    """Expected score of a uniform guess: a number, or the mean over documents of 1/choices or of an expression."""
    random = definition.baseline.random
    if random is None or not isinstance(random, str):
        return None if random is None else float(random)
    if not samples:
        return known_random(definition)
    if random == PER_CHOICE:
        return sum(1 / _choices(sample) for sample in samples) / len(samples)
    guess = compile_value(random)
    return sum(float(guess(sample.document.data)) for sample in samples) / len(samples)


def _choices(sample: SampleResult) -> int:
    """Choices of an item: a request for each, or all of them in one request to a classifier."""
    first = sample.requests[0]
    return len(first.labels) if isinstance(first, Classify) else len(sample.requests)


def majority_baseline(definition: Definition, samples: Sequence[SampleResult]) -> float | None:
    """Share of the most frequent gold index; None where answers are no single index."""
    golds = [sample.target for sample in samples]
    if not definition.baseline.majority or definition.kind != "multiple_choice" or not golds:
        return None
    if not all(isinstance(gold, int) for gold in golds):
        return None
    return Counter(golds).most_common(1)[0][1] / len(golds)
