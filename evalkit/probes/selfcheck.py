"""Does a model say the same when asked again? SelfCheckGPT by n-gram and by entailment (Manakul et al. 2023, arXiv
2303.08896).

The first of several sampled replies is the passage under test. By n-gram: a unigram model is made of all of them, the
passage included (which is all the smoothing that the paper and its authors' package have). A sentence's score is minus
the mean, or minus the smallest, log-probability of its words: what no other sample says is improbable. By entailment:
a sentence's score is the probability that a sample contradicts it, P(contradiction) / (P(entailment) +
P(contradiction)), averaged over the samples. Higher is less consistent, so more likely made up. A refusal states
nothing and has no score.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evalkit.metrics.base import SHARE, Metric, ScoringInput, share_metric
from evalkit.probes import entailment, options
from evalkit.probes.entailment import Contradiction, Settings
from evalkit.probes.summaries import is_answer
from evalkit.store import paths
from evalkit.task.definition import Defined, MetricEntry, load_task

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog

_NLI = "the task of that name with its entailment score by that model beside the others"
FORMS = {"selfcheckgpt:nli=MODEL": _NLI, "selfcheck_subjects:nli=MODEL": _NLI}
FORMERLY = {"selfcheck": "selfcheck_subjects"}
_WORD = re.compile(r"\w+", re.UNICODE)
_TOKEN = re.compile(r"\w+|[^\w\s]", re.UNICODE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
SOURCE = "SelfCheckGPT, unigram (Manakul et al. 2023, arXiv 2303.08896)"
AGREEMENT_SOURCE = "evalkit: words in common with other samples, docs/probes.md"
NLI_SOURCE = "SelfCheckGPT, entailment (Manakul et al. 2023, arXiv 2303.08896)"


def words(text: str) -> list[str]:
    """Lower-cased words."""
    return [word.lower() for word in _WORD.findall(text)]


def sentences(passage: str) -> list[str]:
    """The sentences that hold a word."""
    return [part.strip() for part in _SENTENCE.split(passage) if _WORD.search(part)]


def tokens(text: str) -> list[str]:
    """Lower-cased words and punctuation marks."""
    return [token.lower() for token in _TOKEN.findall(text)]


def surprises(passage: str, samples: Sequence[str], tested: Sequence[str]) -> list[tuple[float, float]]:
    """(mean, largest) of -log p over the tokens of each of ``tested``, sentences of ``passage``, in nats: p is a
    token's share of all tokens of the passage and the samples.
    """
    counts = Counter(token for text in (passage, *samples) for token in tokens(text))
    total = sum(counts.values())
    scores = []
    for sentence in tested:
        # A sentence may be cut otherwise than the passage: a token that is not there counts as seen once.
        found = [math.log(total) - math.log(max(counts[token], 1)) for token in tokens(sentence)]
        scores.append((sum(found) / len(found), max(found)))
    return scores


def sentence_scores(passage: str, samples: Sequence[str]) -> list[tuple[float, float]]:
    """`surprises` of all sentences of ``passage``."""
    return surprises(passage, samples, sentences(passage))


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


def _agreement(sample: ScoringInput) -> float | None:
    """The share of the passage's words that another sample has too, averaged over the samples and sentences: a share
    beside the paper's scores in nats, so that it can stand on a board of shares. A refusal agrees with nothing: 0.
    """
    passage, *others = sample.texts
    others = [one for one in others if _WORD.search(one)]
    if not others or not is_answer(passage):
        return 0.0
    known = [set(words(one)) for one in others]
    shares = [
        sum(sum(word in one for word in said) / len(said) for one in known) / len(known)
        for said in (words(sentence) for sentence in sentences(passage))
    ]
    return sum(shares) / len(shares)


selfcheck_agreement = share_metric("selfcheck_agreement", _agreement, source=AGREEMENT_SOURCE)
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
    """selfcheckgpt:nli=MODEL: the probe, with its entailment score by that model beside the others."""
    asked = options.parse(name, READERS)
    args = {("model" if key == "nli" else key): value for key, value in asked.items()}
    prefix = name.partition(":")[0]
    template = load_task(paths.share("tasks") / FORMERLY.get(prefix, prefix) / "task.yaml")
    one = template.tasks[0]
    entry = MetricEntry(metric="selfcheck_nli", filter=one.metrics[0].filter, args=args)
    made = one.model_copy(update={"name": name, "metrics": (*one.metrics, entry), "primary": entry.key})
    return Defined(template.source, (made,), (), template.description)
