"""What guessing would score on the very documents that were scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

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


def guess_of(definition: Definition) -> Callable[[SampleResult], float] | None:
    """Expected score of a uniform guess at one document: 1/choices or an expression; None where the definition names
    a number, or none.
    """
    random = definition.baseline.random
    if not isinstance(random, str):
        return None
    if random == PER_CHOICE:
        return lambda sample: 1 / _choices(sample)
    guess = compile_value(random)
    return lambda sample: float(guess(sample.document.data))


def _choices(sample: SampleResult) -> int:
    """Choices of an item: a request for each, or all of them in one request to a classifier."""
    first = sample.requests[0]
    return len(first.labels) if isinstance(first, Classify) else len(sample.requests)


def majority_of(definition: Definition, golds: Sequence[int | None]) -> float | None:
    """Share of the most frequent of the documents' gold indices; None where an answer is no single index."""
    if not definition.baseline.majority or definition.kind != "multiple_choice" or not golds:
        return None
    if None in golds:
        return None
    return Counter(golds).most_common(1)[0][1] / len(golds)
