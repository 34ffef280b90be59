"""Does a model say the same when asked again? SelfCheckGPT by n-gram and by entailment (Manakul et al. 2023, arXiv
2303.08896).

The first of several sampled replies is the passage under test. By n-gram: a unigram model with add-one smoothing is
made of all of them (the passage included, as in the paper). A sentence's score is minus the mean, or minus the
smallest, log-probability of its words: what no other sample says is improbable. By entailment: a sentence's score is
the probability that a sample contradicts it, P(contradiction) / (P(entailment) + P(contradiction)), averaged over the
samples. Higher is less consistent, so more likely made up. A refusal states nothing and has no score.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evalkit.metrics.base import SHARE, Metric, ScoringInput
from evalkit.probes import entailment, options
from evalkit.probes.entailment import Contradiction, Settings
from evalkit.probes.summaries import is_answer
from evalkit.store import paths
from evalkit.task.definition import Defined, MetricEntry, load_task

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog

FORMS = {"selfcheck:nli=MODEL": "the task selfcheck with its entailment score by that model beside the others"}
_WORD = re.compile(r"\w+", re.UNICODE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
SOURCE = "SelfCheckGPT, unigram (Manakul et al. 2023, arXiv 2303.08896)"
NLI_SOURCE = "SelfCheckGPT, entailment (Manakul et al. 2023, arXiv 2303.08896)"


def words(text: str) -> list[str]:
    """Lower-cased words."""
    return [word.lower() for word in _WORD.findall(text)]


def sentences(passage: str) -> list[str]:
    """The sentences that hold a word."""
    return [part.strip() for part in _SENTENCE.split(passage) if _WORD.search(part)]


def sentence_scores(passage: str, samples: Sequence[str]) -> list[tuple[float, float]]:
    """(mean, largest) of -log p over the words of each sentence of ``passage``, in nats."""
    counts = Counter(word for text in (passage, *samples) for word in words(text))
    total = sum(counts.values()) + len(counts)
    scores = []
    for sentence in sentences(passage):
        surprises = [-math.log((counts[word] + 1) / total) for word in words(sentence)]
        scores.append((sum(surprises) / len(surprises), max(surprises)))
    return scores


def contradiction_scores(
    passage: str, samples: Sequence[str], contradiction: Contradiction, premise: str = "sample"
) -> list[float] | None:
    """Of each sentence of ``passage`` the mean probability (0 to 1) that a sample contradicts it; None where a pair
    is longer than the model reads.
    """
    tested = sentences(passage)
    pairs = [(sample, sentence) for sentence in tested for sample in samples]
    found = contradiction(pairs if premise == "sample" else [(second, first) for first, second in pairs])
    known = [one for one in found if one is not None]
    if len(known) < len(pairs):
        return None
    n = len(samples)
    return [sum(known[place : place + n]) / n for place in range(0, len(known), n)]


def _score(part: int) -> Callable[[ScoringInput], float | None]:
    def score(sample: ScoringInput) -> float | None:
        passage, *others = sample.texts
        scores = sentence_scores(passage, others) if others and is_answer(passage) else []
        return sum(one[part] for one in scores) / len(scores) if scores else None

    return score


def _by_entailment(sample: ScoringInput) -> float | None:
    """The mean over the sentences; samples without a word are no evidence and are left out."""
    passage, *others = sample.texts
    others = [one for one in others if _WORD.search(one)]
    if not others or not is_answer(passage):
        return None
    settings = Settings.of(sample.args)
    scores = contradiction_scores(passage, others, entailment.load(settings), settings.premise)
    return sum(scores) / len(scores) if scores else None


def _prepare(args: Mapping[str, Any]) -> None:
    entailment.check(Settings.of(args))


def _describe(args: Mapping[str, Any], values: Sequence[Any]) -> str:
    settings = Settings.of(args)
    return f"nli:{settings.model}|weights:{entailment.identity(settings)}|premise:{settings.premise}"


def _surprise(name: str, part: int) -> Metric:
    return Metric(
        name=name,
        kind="text",
        per_item=_score(part),
        unit="nats",
        bounds=(0.0, None),
        higher_is_better=False,
        source=SOURCE,
    )


selfcheck_avg, selfcheck_max = _surprise("selfcheck_avg", 0), _surprise("selfcheck_max", 1)
selfcheck_nli = Metric(
    name="selfcheck_nli",
    kind="text",
    per_item=_by_entailment,
    unit="share",
    bounds=SHARE,
    higher_is_better=False,
    source=NLI_SOURCE,
    prepare=_prepare,
    describe=_describe,
)

READERS: options.Readers = {
    "nli": options.given,
    "revision": options.given,
    "device": options.given,
    "entail": options.whole(0),
    "contradict": options.whole(0),
    "premise": options.one_of(("sample", "sentence")),
}


def family(name: str, catalog: Catalog) -> Defined:
    """selfcheck:nli=MODEL: the probe, with its entailment score by that model beside the others."""
    asked = options.parse(name, READERS)
    args = {("model" if key == "nli" else key): value for key, value in asked.items()}
    template = load_task(paths.share("tasks") / "selfcheck" / "task.yaml")
    one = template.tasks[0]
    entry = MetricEntry(metric="selfcheck_nli", filter=one.metrics[0].filter, args=args)
    made = one.model_copy(update={"name": name, "metrics": (*one.metrics, entry), "primary": entry.key})
    return Defined(template.source, (made,), (), template.description)
