"""SQuAD 2.0: exact match and F1 over all questions, those with an answer, and those without one.

The official script takes an empty prediction for "there is no answer". A model says it in words: an answer that equals
one of ``args: {no_answer: [unanswerable]}`` (after SQuAD's normalisation) counts as empty. Values are shares of 1; the
script prints percentages.
"""

from __future__ import annotations

from collections.abc import Callable

from evalkit.metrics.base import Metric, ScoringInput, share_metric
from evalkit.metrics.qa import normalize_squad, texts, token_f1

_SOURCE = "SQuAD, evaluate-v2.0.py (Rajpurkar et al. 2018, arXiv 1806.03822)"


def has_answer(sample: ScoringInput) -> bool:
    """Whether the data list an answer (one of articles alone counts, as it does for the script)."""
    stated = _abstentions(sample)
    return any(one and normalize_squad(one) not in (stated - {""}) for one in texts(sample.target))


def gold_answers(sample: ScoringInput) -> list[str]:
    """The right answers, normalised; none where nothing is left of them."""
    stated = _abstentions(sample)
    found = [normalize_squad(one) for one in texts(sample.target)]
    return [one for one in found if one and one not in stated]


def prediction(sample: ScoringInput) -> str:
    """The answer, normalised; empty where it says that there is none."""
    answer = normalize_squad(sample.text or "")
    return "" if answer in _abstentions(sample) else answer


def _abstentions(sample: ScoringInput) -> set[str]:
    return {normalize_squad(one) for one in texts(sample.args.get("no_answer") or [])}


def _exact(answer: str, right: str) -> float:
    return float(answer == right)


def _f1(answer: str, right: str) -> float:
    return token_f1(answer, right) if answer and right else float(answer == right)


def _scored(score: Callable[[str, str], float], answerable: bool | None) -> Callable[[ScoringInput], float | None]:
    def sample(one: ScoringInput) -> float | None:
        if one.text is None:
            return None
        if answerable is not None and has_answer(one) != answerable:
            return None
        answer = prediction(one)
        return max(score(answer, right) for right in gold_answers(one) or [""])

    return sample


def _metric(name: str, score: Callable[[str, str], float], answerable: bool | None) -> Metric:
    return share_metric(name, _scored(score, answerable), source=_SOURCE, binary=score is _exact)


exact, f1 = _metric("exact", _exact, None), _metric("f1", _f1, None)
has_answer_exact, has_answer_f1 = _metric("HasAns_exact", _exact, True), _metric("HasAns_f1", _f1, True)
no_answer_exact, no_answer_f1 = _metric("NoAns_exact", _exact, False), _metric("NoAns_f1", _f1, False)
