"""How varied a model's texts are: distinct n-grams and the entropy of n-grams, over the corpus of all answers.

Words are what white space parts, lower-cased. A sample keeps the n-grams' identities (48 bits of a hash, exact as
floats), so that the corpus can be put together from samples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.metrics.base import MetricDef, ScoringInput


def ngrams(sample: ScoringInput, default: int) -> tuple[float, ...] | None:
    """Identities of the text's n-grams, repeats included; ``args: {n: 3}`` sets n."""
    if sample.text is None:
        return None
    words = sample.text.lower().split()
    n = int(sample.args.get("n", default))
    return tuple(_identity(" ".join(words[start : start + n])) for start in range(len(words) - n + 1))


def _identity(text: str) -> float:
    return float(int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).digest()))


def prepare(args: Mapping[str, Any]) -> None:
    """UserError for an n that is no count of words."""
    n = args.get("n", 1)
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise UserError(f"metric distinct_n: n is {n!r}; give 1 or more words")


_LI = "Li et al. 2016, arXiv 1510.03055, distinct-n"
_ZHANG = "Zhang et al. 2018, arXiv 1809.05972, entropy of n-grams (base 2)"

distinct_1 = MetricDef("distinct_1", "text", partial(ngrams, default=1), "distinct", True, False, _LI, prepare)
distinct_2 = MetricDef("distinct_2", "text", partial(ngrams, default=2), "distinct", True, False, _LI, prepare)
entropy_1 = MetricDef("entropy_1", "text", partial(ngrams, default=1), "entropy", True, False, _ZHANG, prepare)
entropy_2 = MetricDef("entropy_2", "text", partial(ngrams, default=2), "entropy", True, False, _ZHANG, prepare)
