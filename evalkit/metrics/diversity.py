"""How varied a model's texts are: distinct n-grams and the entropy of n-grams, over the corpus of all answers.

Words are what white space parts, lower-cased. Distinct-n is scaled by the number of words, not of n-grams (Li et al.
2016, section 5.2). A sample keeps the n-grams' identities (48 bits of a hash, exact as floats), so that the corpus can
be put together from samples; of distinct-n the number of words stands first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.metrics.base import SHARE, Metric, ScoringInput


def ngrams(sample: ScoringInput, default: int) -> tuple[float, ...] | None:
    """Identities of the text's n-grams, repeats included; ``args: {n: 3}`` sets n."""
    if sample.text is None:
        return None
    words = sample.text.lower().split()
    n = int(sample.args.get("n", default))
    return tuple(_identity(" ".join(words[start : start + n])) for start in range(len(words) - n + 1))


def counted_ngrams(sample: ScoringInput, default: int) -> tuple[float, ...] | None:
    """The number of words, and the identities of the text's different n-grams."""
    found = ngrams(sample, default)
    return None if found is None else (float(len((sample.text or "").split())), *dict.fromkeys(found))


def _identity(text: str) -> float:
    return float(int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).digest()))


def prepare(args: Mapping[str, Any]) -> None:
    """UserError for an n that is no count of words."""
    n = args.get("n", 1)
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise UserError(f"metric distinct_n: n is {n!r}; give 1 or more words")


_LI = "Li et al. 2016, arXiv 1510.03055, distinct-n: by generated words"
_ZHANG = "Zhang et al. 2018, arXiv 1809.05972, entropy of n-grams (base 2)"


def _metric(combine: str, n: int) -> Metric:
    distinct = combine == "distinct_by_words"
    return Metric(
        name=f"{'distinct' if distinct else combine}_{n}",
        kind="text",
        per_item=lambda item: (counted_ngrams if distinct else ngrams)(item, n),
        combine=combine,
        unit="share" if distinct else "bits",
        bounds=SHARE if distinct else (0.0, None),
        higher_is_better=True,
        source=_LI if distinct else _ZHANG,
        prepare=prepare,
    )


distinct_1, distinct_2 = (_metric("distinct_by_words", n) for n in (1, 2))
entropy_1, entropy_2 = (_metric("entropy", n) for n in (1, 2))
