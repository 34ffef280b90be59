"""CIDEr, ROUGE-L and METEOR 1.5 as the MS-COCO caption evaluation (Chen et al. 2015, arXiv 1504.00325) computes them.

The words are those of Stanford's PTBTokenizer without punctuation, and METEOR is its authors' own program: both
run in Java, out of the package pycocoevalcap (`java_words`). CIDEr and ROUGE-L are computed here, from their formulas;
``args: {tokenize: 13a}`` takes sacrebleu's words instead, which needs no Java and gives other numbers.
The document frequencies of CIDEr are those of the references at hand, so a part of a set has another CIDEr.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.metrics import java_words
from evalkit.metrics.base import Metric, ScoringInput, share_metric
from evalkit.metrics.nist import Words, ngrams, tokenized
from evalkit.metrics.qa import texts

ORDERS = 4
SIGMA = 6.0
"""Of CIDEr-D's penalty for a length that differs, in bigrams."""
BETA = 1.2
"""How much more recall counts than precision in ROUGE-L."""
TOKENIZERS = ("ptb", "13a")

ALPHA, METEOR_BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
STAGES = (1.0, 0.6, 0.8, 0.6)
"""METEOR 1.5's parameters for English (Denkowski and Lavie 2014, table 1): exact, stem, synonym, paraphrase."""


def _prepare(name: str, tokenizers: Sequence[str] = TOKENIZERS) -> Callable[[Mapping[str, Any]], None]:
    def prepare(args: Mapping[str, Any]) -> None:
        chosen = args.get("tokenize", "ptb")
        if chosen not in tokenizers:
            raise UserError(f"metric {name}: tokenize is {chosen!r}; choose one of {', '.join(tokenizers)}")
        if chosen == "ptb":
            java_words.require(f"metric {name}")

    return prepare


def _describe(args: Mapping[str, Any], values: Sequence[Any]) -> str:
    chosen = args.get("tokenize", "ptb")
    return f"case:lc|tok:{'ptb-3.4.1' if chosen == 'ptb' else chosen}"


def _words(samples: Sequence[ScoringInput], args: Mapping[str, Any]) -> list[tuple[Words, list[Words]]]:
    """Each item's answer and references in words."""
    sides = [(sample.text or "", texts(sample.target)) for sample in samples]
    every = dict.fromkeys(text for answer, references in sides for text in (answer, *references))
    ptb = args.get("tokenize", "ptb") == "ptb"
    found = java_words.words(tuple(every)) if ptb else [tokenized(text) for text in every]
    known = dict(zip(every, found, strict=True))
    return [(known[answer], [known[one] for one in references]) for answer, references in sides]


def ciders(samples: Sequence[ScoringInput], args: Mapping[str, Any]) -> list[float]:
    """CIDEr-D of each item: ten times the mean over orders 1 to 4 and references of the cosine between tf-idf vectors,
    clipped, with a Gaussian penalty for another length (Vedantam et al. 2015, arXiv 1411.5726, section 6).
    """
    sides = _words(samples, args)
    frequency: Counter[Words] = Counter()
    for _, references in sides:
        frequency.update(
            {gram for words in references for order in range(1, ORDERS + 1) for gram in ngrams(words, order)}
        )
    total = math.log(len(sides)) if sides else 0.0
    vectors: dict[Words, list[dict[Words, float]]] = {}

    def vector(words: Words) -> list[dict[Words, float]]:
        if words not in vectors:
            vectors[words] = [
                {gram: n * (total - math.log(max(1, frequency[gram]))) for gram, n in ngrams(words, order).items()}
                for order in range(1, ORDERS + 1)
            ]
        return vectors[words]

    def one(answer: Words, reference: Words) -> float:
        # The original counts lengths in bigrams.
        apart = max(len(answer) - 1, 0) - max(len(reference) - 1, 0)
        parts = (_cosine(a, b) for a, b in zip(vector(answer), vector(reference), strict=True))
        return math.exp(-(apart**2) / (2 * SIGMA**2)) * sum(parts) / ORDERS

    return [
        10 * sum(one(answer, reference) for reference in references) / len(references) if references else 0.0
        for answer, references in sides
    ]


def _cosine(answer: Mapping[Words, float], reference: Mapping[Words, float]) -> float:
    product = sum(min(weight, reference.get(gram, 0.0)) * reference.get(gram, 0.0) for gram, weight in answer.items())
    lengths = math.hypot(*answer.values()) * math.hypot(*reference.values())
    return product / lengths if lengths else product


def rouge_ls(samples: Sequence[ScoringInput], args: Mapping[str, Any]) -> list[float]:
    """ROUGE-L of each item (0 to 1): F with beta 1.2 of the best precision and the best recall over the references,
    which may be those of two references.
    """
    return [_rouge_l(answer, references) for answer, references in _words(samples, args)]


def _rouge_l(answer: Words, references: Sequence[Words]) -> float:
    common = [(_common(answer, one), len(one)) for one in references if one]
    if not answer or not common:
        return 0.0
    precision = max(n for n, _ in common) / len(answer)
    recall = max(n / length for n, length in common)
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision) if precision and recall else 0.0


def _common(a: Words, b: Words) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for word in a:
        left = 0
        for place, other in enumerate(b, 1):
            above = row[place]
            row[place] = left + 1 if word == other else max(above, row[place - 1])
            left = above
    return row[-1]


def meteor_statistics(samples: Sequence[ScoringInput], args: Mapping[str, Any]) -> list[tuple[float, ...]]:
    """Of each item the counts that METEOR 1.5 keeps of its best reference: they add up over a corpus."""
    sides = [(" ".join(answer), [" ".join(one) for one in several]) for answer, several in _words(samples, args)]
    return java_words.meteor_counts(sides)


def meteor_of(sums: Sequence[float]) -> float:
    """METEOR (0 to 1) of summed counts: words and function words of both sides, four matches of each of four stages
    (answer and reference, content; answer and reference, function), chunks, matching words of both sides.
    """
    counts = [float(value) for value in sums]
    answer, reference, answer_function, reference_function = counts[:4]
    stages = [counts[4 + 4 * place : 8 + 4 * place] for place in range(4)]
    chunks, of_answer, of_reference = counts[20:23]
    hits = [
        sum(w * (DELTA * stage[side] + (1 - DELTA) * stage[side + 2]) for w, stage in zip(STAGES, stages, strict=True))
        for side in (0, 1)
    ]
    words = [
        DELTA * (whole - function) + (1 - DELTA) * function
        for whole, function in ((answer, answer_function), (reference, reference_function))
    ]
    if not all(hits) or not all(words):
        return 0.0
    precision, recall = hits[0] / words[0], hits[1] / words[1]
    mean = precision * recall / (ALPHA * precision + (1 - ALPHA) * recall)
    matched = (of_answer + of_reference) / 2
    # Whole sentences that match word by word are one piece each, which is no fragmentation.
    pieces = 0.0 if of_answer == answer and of_reference == reference and chunks == 1 else chunks / matched
    return mean * (1 - GAMMA * pieces**METEOR_BETA)


_CAPTIONS = "MS-COCO caption evaluation (pycocoevalcap)"
cider = Metric(
    name="cider",
    kind="text",
    higher_is_better=True,
    bounds=(0.0, 10.0),
    source=f"Vedantam et al. 2015, arXiv 1411.5726; {_CAPTIONS}",
    all_items=ciders,
    prepare=_prepare("cider"),
    describe=_describe,
)
coco_rouge_l = share_metric(
    "coco_rouge_l",
    lambda item: None,
    source=f"Lin 2004; {_CAPTIONS}, beta 1.2",
    all_items=rouge_ls,
    prepare=_prepare("coco_rouge_l"),
    describe=_describe,
)
meteor_1_5 = share_metric(
    "meteor_1_5",
    lambda item: None,
    combine=meteor_of,
    source=f"Denkowski and Lavie 2014, WMT; METEOR 1.5, {_CAPTIONS}",
    all_items=meteor_statistics,
    prepare=_prepare("meteor_1_5", ("ptb",)),
    describe=_describe,
)
