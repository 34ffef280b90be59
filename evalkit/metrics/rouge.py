"""ROUGE as the package rouge-score computes it; the four of one text are computed together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from evalkit.metrics.base import SHARE, Metric, ScoringInput, shared
from evalkit.metrics.qa import texts
from evalkit.text import scripts

ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")


@lru_cache(maxsize=4)
def _scorer(stemmer: bool, latin: bool) -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    # rouge-score's own tokenizer keeps the letters a to z and digits; of other scripts nothing would be left.
    return RougeScorer(list(ROUGE), use_stemmer=stemmer, tokenizer=None if latin else scripts.Tokenizer())


def rouges(item: ScoringInput) -> Mapping[str, float] | None:
    """F-measures (0 to 1) of all four, the best over the references for each; None without a reference."""
    references = texts(item.target)
    if item.text is None or not references:
        return None
    latin = scripts.mostly_latin("".join(references))
    found = _scorer(bool(item.args.get("stemmer", True)), latin).score_multi(references, item.text)
    return {name: float(score.fmeasure) for name, score in found.items()}


def _rouge_describe(args: Mapping[str, Any], values: Sequence[Any]) -> str:
    from importlib.metadata import version

    return f"stem:{'yes' if args.get('stemmer', True) else 'no'}|rouge-score:{version('rouge-score')}"


def _rouge_metric(name: str) -> Metric:
    return Metric(
        name=name,
        kind="text",
        per_item=shared(rouges, name),
        unit="share",
        bounds=SHARE,
        higher_is_better=True,
        source="Lin 2004, ROUGE; rouge-score (google-research), F-measure",
        describe=_rouge_describe,
    )


rouge1, rouge2, rougeL, rougeLsum = (_rouge_metric(name) for name in ROUGE)
