"""NIST: n-grams of the references weighted by how much they tell (Doddington 2002), as mteval-v13a computes it.

The n-grams are counted over all references of the corpus, so the weights need every item; given these, an item has
statistics that add up. Words are mteval's (sacrebleu's tokenizer 13a), lower-cased. Where items differ in the number of
references the average is each item's own, as in the E2E challenge's Python script; mteval's Perl does it differently.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.metrics.base import Metric, ScoringInput
from evalkit.metrics.qa import texts

ORDERS = 5
BETA = -math.log(0.5) / math.log(1.5) ** 2
"""So that the length penalty is one half where the answers have two thirds of the references' words."""
Words = tuple[str, ...]


def tokenized(text: str) -> Words:
    """mteval-v13a's words of a text, lower-cased."""
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    return tuple(Tokenizer13a()(text).lower().split())


def ngrams(words: Words, order: int) -> Counter[Words]:
    """The n-grams of one order with their counts."""
    return Counter(words[start : start + order] for start in range(len(words) - order + 1))


def statistics(samples: Sequence[ScoringInput], args: Mapping[str, Any]) -> list[tuple[float, ...]]:
    """Of each item: the information of its matching n-grams of each order in bits, the answer's n-grams of each order,
    the answer's words, and the mean of its references' words. The number of n-grams may be negative for answers
    shorter than the order, as in the original.
    """
    answers = [tokenized(one.text or "") for one in samples]
    references = [[tokenized(one) for one in texts(sample.target)] for sample in samples]
    counts: list[Counter[Words]] = [Counter() for _ in range(ORDERS + 1)]
    for words in (one for several in references for one in several):
        counts[0][()] += len(words)
        for order in range(1, ORDERS + 1):
            counts[order].update(ngrams(words, order))
    found = []
    for answer, several in zip(answers, references, strict=True):
        information = []
        for order in range(1, ORDERS + 1):
            most: Counter[Words] = Counter()
            for words in several:
                most |= ngrams(words, order)
            hits = ngrams(answer, order) & most
            information.append(
                sum(n * math.log2(counts[order - 1][gram[:-1]] / counts[order][gram]) for gram, n in hits.items())
            )
        lengths = [float(len(answer) - order) for order in range(ORDERS)]
        mean = sum(map(len, several)) / len(several) if several else 0.0
        found.append((*information, *lengths, float(len(answer)), mean))
    return found


def nist_of(sums: Sequence[float]) -> float:
    """NIST of summed statistics; 0 where there is no word on either side."""
    gained = sum(
        float(bits) / float(n) for bits, n in zip(sums[:ORDERS], sums[ORDERS : 2 * ORDERS], strict=True) if n > 0
    )
    answered, expected = float(sums[-2]), float(sums[-1])
    if answered <= 0 or expected <= 0:
        return 0.0
    ratio = answered / expected
    return gained * (1.0 if ratio >= 1 else math.exp(-BETA * math.log(ratio) ** 2))


nist = Metric(
    name="nist",
    kind="text",
    higher_is_better=True,
    combine=nist_of,
    bounds=(0.0, None),
    source="Doddington 2002, HLT; mteval-v13a, as the E2E challenge computes it",
    all_items=statistics,
    describe=lambda args, values: "case:lc|tok:13a|orders:5",
)
