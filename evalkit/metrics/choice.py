"""Metrics over the log-likelihoods of given choices. Ties go to the first choice, as numpy's argmax has it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evalkit.metrics.base import Metric, PerItem, ScoringInput, share_metric

_LM_EVAL = "lm-evaluation-harness 0.4.13, multiple_choice"


def gold_indices(target: object) -> tuple[int, ...]:
    """The right choices' indices: of one index or a list of them."""
    if isinstance(target, Sequence) and not isinstance(target, str):
        return tuple(int(index) for index in target)
    return (int(target),)  # type: ignore[call-overload]


def best(scores: Sequence[float]) -> int:
    """Index of the largest score, the first one of equals."""
    return max(range(len(scores)), key=lambda index: scores[index])


def softmax(loglikelihoods: Sequence[float]) -> list[float]:
    """Probabilities among the choices, computed so that very small likelihoods do not vanish together."""
    top = max(loglikelihoods)
    weights = [math.exp(value - top) for value in loglikelihoods]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def acc_sample(sample: ScoringInput) -> float:
    """1 where the most likely choice is right."""
    return float(best(sample.loglikelihoods) in gold_indices(sample.target))


def acc_norm_sample(sample: ScoringInput) -> float:
    """1 where the choice with the highest log-likelihood a character is right."""
    return _normalised(sample, [len(choice) for choice in sample.choices])


def acc_bytes_sample(sample: ScoringInput) -> float:
    """1 where the choice with the highest log-likelihood a UTF-8 byte is right."""
    return _normalised(sample, [len(choice.encode()) for choice in sample.choices])


def _normalised(sample: ScoringInput, lengths: Sequence[int]) -> float:
    # An empty choice has no rate and is never chosen over one that has.
    rates = [
        value / length if length else -math.inf for value, length in zip(sample.loglikelihoods, lengths, strict=True)
    ]
    return float(best(rates) in gold_indices(sample.target))


def exact_match_sample(sample: ScoringInput) -> float:
    """1 where a right choice is what the model would have written itself, token by token."""
    return float(any(sample.is_greedy[index] for index in gold_indices(sample.target)))


def mc2_sample(sample: ScoringInput) -> float:
    """Probability mass of the true answers among all answers offered."""
    probabilities = softmax(sample.loglikelihoods)
    return math.fsum(probabilities[index] for index in set(gold_indices(sample.target)))


def brier_sample(sample: ScoringInput) -> float | None:
    """Squared distance of the probabilities from the right answer, summed over choices; None for several right ones."""
    gold = gold_indices(sample.target)
    if len(gold) != 1:
        return None
    probabilities = softmax(sample.loglikelihoods)
    return math.fsum((value - (index == gold[0])) ** 2 for index, value in enumerate(probabilities))


def _right(name: str, per_item: PerItem) -> Metric:
    return Metric(name=name, kind="choice", per_item=per_item, higher_is_better=True, binary=True, source=_LM_EVAL)


acc = _right("acc", acc_sample)
acc_norm = _right("acc_norm", acc_norm_sample)
acc_bytes = _right("acc_bytes", acc_bytes_sample)
exact_match = _right("exact_match", exact_match_sample)
mc2 = share_metric("mc2", mc2_sample, kind="choice", source="TruthfulQA, arXiv 2109.07958, section 2.2")
brier = Metric(
    name="brier_score",
    kind="choice",
    per_item=brier_sample,
    bounds=(0.0, 2.0),  # all mass on one wrong choice
    higher_is_better=False,
    source="Brier 1950, Monthly Weather Review 78(1)",
)
