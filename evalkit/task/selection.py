"""Few-shot examples chosen for what they say: those most like the question, out of all or out of the best pairs.

similar   by the cosine of TF-IDF vectors of character n-grams (2 to 4, within words), which suits any script
quality   a share of the pool, best first: translations whose length fits their source's (Gale and Church 1993,
          Computational Linguistics 19: the difference in standard deviations of a length that grows with the source,
          6.8 a character), or those that COMETkiwi scores highest without a reference

With random draws out of all, random draws out of the best, and similar ones out of the best these are the arms RR, QR
and QS of Hendy et al. 2023 (arXiv 2302.09210), which takes LaBSE for likeness.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.metrics import comet
from evalkit.task.definition import Fewshot

VARIANCE = 6.8

Rows = Sequence[Any]


def nearest(pool: Rows, text_of: Callable[[Any], str], where: str) -> Callable[[Any, int], list[Any]]:
    """A function that gives a row its ``count`` most similar ones of ``pool``, the most similar last, itself left out.

    Equal similarities keep the pool's order. UserError where scikit-learn is not installed.
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError:
        raise UserError(
            f"{where}: similar few-shot examples need scikit-learn: pip install 'evalkit-harness[embedding]'"
        ) from None
    import numpy as np

    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    matrix = vectors.fit_transform([text_of(row) for row in pool])

    def pick(row: Any, count: int) -> list[Any]:
        likeness = np.asarray((matrix @ vectors.transform([text_of(row)]).T).todense()).ravel()
        order = (pool[int(place)] for place in np.argsort(-likeness, kind="stable"))
        found: list[Any] = []
        for one in order:
            if len(found) == count:
                break
            if one != row:
                found.append(one)
        return found[::-1]

    return pick


def best(pool: Rows, chosen: Fewshot, where: str) -> list[Any]:
    """The share ``chosen.quality`` of ``pool`` with the best translations, in the pool's order.

    UserError for rows that are no pairs of source and target, and where COMETkiwi is asked for and not installed.
    """
    for row in pool:
        if not (isinstance(row, Mapping) and isinstance(row.get("source"), str) and isinstance(row.get("target"), str)):
            raise UserError(f"{where}: quality of examples is that of translations: rows need source and target")
    scores = _fits(pool) if chosen.measure == "length" else comet.without_reference(pool)
    kept = max(1, round((chosen.quality or 1.0) * len(pool)))
    order = sorted(range(len(pool)), key=lambda place: (-scores[place], place))[:kept]
    return [pool[place] for place in sorted(order)]


def _fits(pool: Rows) -> list[float]:
    """Minus the standard deviations between a target's length and what its source's length lets expect."""
    lengths = [(len(row["source"]), len(row["target"])) for row in pool]
    ratio = sum(target for _, target in lengths) / max(1, sum(source for source, _ in lengths))
    return [
        -abs(target - source * ratio) / (VARIANCE * source) ** 0.5 if source and target else float("-inf")
        for source, target in lengths
    ]
