"""Does a model say the same when asked again? SelfCheckGPT by n-gram (Manakul et al. 2023, arXiv 2303.08896, section
5.3).

The first of several sampled replies is the passage under test; a unigram model with add-one smoothing is made of all of
them (the passage included, as in the paper). A sentence's score is minus the mean, or minus the smallest,
log-probability of its words: what no other sample says is improbable. Higher is less consistent, so more likely made
up.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence

from evalkit.metrics.base import MetricDef, ScoringInput

_WORD = re.compile(r"\w+", re.UNICODE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
SOURCE = "SelfCheckGPT, unigram (Manakul et al. 2023, arXiv 2303.08896)"


def words(text: str) -> list[str]:
    """Lower-cased words."""
    return [word.lower() for word in _WORD.findall(text)]


def sentence_scores(passage: str, samples: Sequence[str]) -> list[tuple[float, float]]:
    """(mean, largest) of -log p over the words of each sentence of ``passage``, in nats."""
    counts = Counter(word for text in (passage, *samples) for word in words(text))
    total = sum(counts.values()) + len(counts)
    scores = []
    for sentence in _SENTENCE.split(passage):
        surprises = [-math.log((counts[word] + 1) / total) for word in words(sentence)]
        if surprises:
            scores.append((sum(surprises) / len(surprises), max(surprises)))
    return scores


def _score(part: int) -> Callable[[ScoringInput], float | None]:
    def score(sample: ScoringInput) -> float | None:
        passage, *others = sample.texts
        scores = sentence_scores(passage, others) if others else []
        return sum(one[part] for one in scores) / len(scores) if scores else None

    return score


selfcheck_avg = MetricDef("selfcheck_avg", "text", _score(0), "mean", False, False, SOURCE)
selfcheck_max = MetricDef("selfcheck_max", "text", _score(1), "mean", False, False, SOURCE)
