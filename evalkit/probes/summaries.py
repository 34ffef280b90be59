"""Summaries against their source, in the terms of Vectara's hallucination board: hallucination rate, factual
consistency rate, answer rate, mean length.

The judge that comes with the task needs no model: a sentence is supported where every number and every name in it (a
word with a capital inside a sentence) stands in the source, and at least half of its other content words do. It finds
invented names and figures and misses twisted relations; a model judges a finished run with `evalkit judge
faithfulness`.
"""

from __future__ import annotations

import re

from evalkit.metrics.base import Metric, ScoringInput, share_metric
from evalkit.probes.hallucination import declines

_WORD = re.compile(r"\d+(?:[.,]\d+)*|\w+(?:['’]\w+)?", re.UNICODE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_SMALL = frozenset(
    _WORD.findall(
        "a an the and or but of in on at by to for from with as is was are were be been it its this that these those "
        "he she they his her their them who which what when where has have had not no also after before into than "
        "then there so would will can could may one two all some more most very about over under up out"
    )
)
_SHARE = 0.5
_LEAST = 5
"""Words below which a reply is no summary (Vectara's board has such a floor as well)."""
SOURCE = "evalkit's lexical judge, after Vectara's hallucination leaderboard; docs/probes.md"


def sentences(text: str) -> list[str]:
    """Sentences with at least one word."""
    return [part.strip() for part in _SENTENCE.split(text) if _WORD.search(part)]


def is_supported(sentence: str, source: str) -> bool:
    """The lexical judge on one sentence."""
    known = {_stem(word) for word in _WORD.findall(source)}
    found = _WORD.findall(sentence)
    hard = [
        word for index, word in enumerate(found) if word[0].isdigit() or (index and word[0].isupper() and len(word) > 1)
    ]
    if any(_stem(word) not in known for word in hard):
        return False
    content = [word for word in found if word.lower() not in _SMALL]
    return not content or sum(_stem(word) in known for word in content) / len(content) >= _SHARE


def _stem(word: str) -> str:
    low = word.lower().replace("’", "'").removesuffix("'s")
    for ending in ("ing", "ed", "es", "s"):
        if len(low) > len(ending) + 3 and low.endswith(ending):
            return low.removesuffix(ending)
    return low


def is_answer(text: str) -> bool:
    """Whether the model summarised at all."""
    return len(_WORD.findall(text)) >= _LEAST and not declines(text)


def _source(sample: ScoringInput) -> str:
    return str(sample.document.get("passage") or sample.document.get("document") or "")


def _supported(sample: ScoringInput) -> float | None:
    text = sample.text or ""
    if not is_answer(text):
        return None
    parts = sentences(text)
    return sum(is_supported(part, _source(sample)) for part in parts) / len(parts)


def _hallucinated(sample: ScoringInput) -> float | None:
    share = _supported(sample)
    return None if share is None else float(share < 1)


def _consistent(sample: ScoringInput) -> float | None:
    share = _supported(sample)
    return None if share is None else float(share == 1)


def _words(sample: ScoringInput) -> float | None:
    text = sample.text or ""
    return float(len(_WORD.findall(text))) if is_answer(text) else None


supported = share_metric("supported", _supported, source=SOURCE)
hallucinated = share_metric("hallucinated", _hallucinated, source=SOURCE, binary=True, higher_is_better=False)
consistent = share_metric("consistent", _consistent, source=SOURCE, binary=True)
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
