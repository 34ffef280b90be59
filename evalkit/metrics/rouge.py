"""ROUGE as the package rouge-score computes it; the four of one text are computed together.

Its own tokenizer keeps the letters a to z and digits; where most letters of the references are others, ``text.scripts``
splits both sides. ``args: {tokenizer: rouge-score}`` or ``scripts`` takes one of them for all texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.metrics.base import Metric, ScoringInput, share_metric, shared
from evalkit.metrics.qa import texts
from evalkit.text import scripts

TOKENIZERS = ("by-script", "rouge-score", "scripts")
ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")


@lru_cache(maxsize=4)
def _scorer(stemmer: bool, latin: bool) -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(ROUGE), use_stemmer=stemmer, tokenizer=None if latin else scripts.Tokenizer())


def rouges(item: ScoringInput) -> Mapping[str, float] | None:
    """F-measures (0 to 1) of all four, the best over the references for each; None without a reference."""
    references = texts(item.target)
    if item.text is None or not references:
        return None
    chosen = item.args.get("tokenizer", "by-script")
    latin = scripts.mostly_latin("".join(references)) if chosen == "by-script" else chosen == "rouge-score"
    found = _scorer(bool(item.args.get("stemmer", True)), latin).score_multi(references, item.text)
    return {name: float(score.fmeasure) for name, score in found.items()}


def _rouge_describe(args: Mapping[str, Any], values: Sequence[Any]) -> str:
    from importlib.metadata import version

    stem = "yes" if args.get("stemmer", True) else "no"
    return f"tok:{args.get('tokenizer', 'by-script')}|stem:{stem}|rouge-score:{version('rouge-score')}"


def _rouge_prepare(args: Mapping[str, Any]) -> None:
    if args.get("tokenizer", "by-script") not in TOKENIZERS:
        raise UserError(f"metric rouge: tokenizer is {args['tokenizer']!r}; choose one of {', '.join(TOKENIZERS)}")


def _rouge_metric(name: str) -> Metric:
    return share_metric(
        name,
        shared(rouges, name),
        source="Lin 2004, ROUGE; rouge-score (google-research), F-measure",
        prepare=_rouge_prepare,
        describe=_rouge_describe,
    )


rouge1, rouge2, rougeL, rougeLsum = (_rouge_metric(name) for name in ROUGE)
