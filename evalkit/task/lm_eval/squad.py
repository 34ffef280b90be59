"""SQuAD 2.0's numbers for lm-eval's squadv2, which would fetch its metric from the Hub behind the last answer.

The rules are the official script's (evaluate-v2.0.py, Rajpurkar et al. 2018, arXiv 1806.03822), in percent: exact match
and F1 over all questions, those with and those without an answer, and the best of both that a threshold on the
probability of "no answer" can reach.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from evalkit.metrics.qa import normalize_squad, token_f1

Pair = tuple[Mapping[str, Any], Mapping[str, Any]]
"""lm-eval's prediction and reference of one question."""


def replacement(function: Callable[..., Any]) -> Callable[[Sequence[Pair]], float] | None:
    """What stands in for squadv2's aggregation (a partial with the number's name); None for any other function."""
    called = getattr(function, "func", None)
    if getattr(called, "__name__", "") != "_squad_agg":
        return None
    return partial(number, function.args[0])  # type: ignore[attr-defined]


def number(name: str, items: Sequence[Pair]) -> float:
    """One of the script's numbers, such as "HasAns_f1" or "best_exact", in percent; 0 where no question counts for it,
    as lm-eval has it.
    """
    kind, _, score = name.rpartition("_")
    scores = [_score(score, prediction, reference) for prediction, reference in items]
    if kind == "best":
        return _best(scores, items)
    if kind:
        scores = [
            one
            for one, (_, reference) in zip(scores, items, strict=True)
            if _answerable(reference) == (kind == "HasAns")
        ]
    return 100.0 * sum(scores) / len(scores) if scores else 0.0


def _answerable(reference: Mapping[str, Any]) -> bool:
    return bool(reference["answers"]["text"])


def _score(name: str, prediction: Mapping[str, Any], reference: Mapping[str, Any]) -> float:
    answer = normalize_squad(prediction["prediction_text"])
    right = [one for one in map(normalize_squad, reference["answers"]["text"]) if one] or [""]
    if name == "exact":
        return float(answer in right)
    return max(token_f1(answer, one) if answer and one else float(answer == one) for one in right)


def _best(scores: Sequence[float], items: Sequence[Pair]) -> float:
    """The largest mean over thresholds: from "no question has an answer" on, questions count as answered one by one,
    the least likely to have none first.
    """
    current = best = float(sum(not _answerable(reference) for _, reference in items))
    for score, (prediction, reference) in sorted(
        zip(scores, items, strict=True), key=lambda one: one[1][0]["no_answer_probability"]
    ):
        current += score if _answerable(reference) else -bool(prediction["prediction_text"])
        best = max(best, current)
    return 100.0 * best / len(scores) if scores else 0.0
