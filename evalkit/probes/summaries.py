"""Texts against their source, in the terms of Vectara's hallucination board: hallucination rate, factual consistency
rate, answer rate, mean length.

Which sentences the source supports is a grader's verdict (``args: {grader: NAME, ...}``): the lexical one, unless the
task says otherwise. The signature of every metric here names it, with the kappa that it was measured at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.contract.grading import SUPPORTED, Claim
from evalkit.metrics.base import Metric, ScoringInput, share_metric, shared
from evalkit.probes.grading import finding
from evalkit.probes.grading.sentences import WORD, sentences
from evalkit.probes.phrases import declines

_LEAST = 5
"""Words below which a reply is no summary (Vectara's board has such a floor as well)."""
SOURCE = "after Vectara's hallucination leaderboard; docs/probes.md"
_FIELDS = ("passage", "document", "article", "doc", "knowledge")


def is_answer(text: str) -> bool:
    """Whether the model summarised at all."""
    return len(WORD.findall(text)) >= _LEAST and not declines(text)


def source_of(document: Mapping[str, Any]) -> str:
    """The text that a reply must follow from."""
    return next((str(document[key]) for key in _FIELDS if document.get(key)), "")


def _graded(sample: ScoringInput) -> dict[str, float | None]:
    """Of an answer the share of its sentences that are supported, and whether all are. ``faithful`` counts what is no
    answer as well, as 0: it is the answer rate times the consistency rate.
    """
    text = sample.text or ""
    if not is_answer(text):
        return {"supported": None, "consistent": None, "hallucinated": None, "faithful": 0.0}
    source = source_of(sample.document)
    scores = finding.of_metric(sample.args).grade([Claim(source, one) for one in sentences(text)])
    if any(score is None for score in scores):
        return {"supported": None, "consistent": None, "hallucinated": None, "faithful": None}
    share = sum(score is not None and score >= SUPPORTED for score in scores) / len(scores)
    whole = float(share == 1)
    return {"supported": share, "consistent": whole, "hallucinated": 1 - whole, "faithful": whole}


def _words(sample: ScoringInput) -> float | None:
    text = sample.text or ""
    return float(len(WORD.findall(text))) if is_answer(text) else None


def _told(args: Mapping[str, Any], values: Sequence[Any]) -> str:
    return finding.told(finding.of_metric(args).identity)


def _by_grader(name: str, **more: Any) -> Metric:
    return share_metric(name, shared(_graded, name), source=SOURCE, prepare=finding.prepare, describe=_told, **more)


supported = _by_grader("supported")
hallucinated = _by_grader("hallucinated", binary=True, higher_is_better=False)
consistent = _by_grader("consistent", binary=True)
faithful = _by_grader("faithful", binary=True)
answered = share_metric("answered", lambda sample: float(is_answer(sample.text or "")), source=SOURCE, binary=True)
summary_words = Metric(
    name="summary_words",
    kind="text",
    per_item=_words,
    unit="words",
    bounds=(0.0, None),
    higher_is_better=False,
    source=SOURCE,
)
