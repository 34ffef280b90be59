"""Metrics over several sampled answers to the same prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.metrics.base import ScoringInput, share_metric
from evalkit.metrics.qa import exact_match_sample


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Chance that one of k answers, drawn without replacement from n of which some are right, is right.

    1 - C(n-c, k) / C(n, k), unbiased (Chen et al. 2021, arXiv 2107.03374, equation 1); as a product, which does not
    overflow. Needs 1 <= k <= n.
    """
    if n - correct < k:
        return 1.0
    return 1.0 - prod(1.0 - k / one for one in range(n - correct + 1, n + 1))


def pass_at_k_sample(sample: ScoringInput) -> float | None:
    """pass@k of a sample's answers, right by exact_match's rule (its args count here too); None for fewer than k."""
    k = int(sample.args.get("k", 1))
    if not sample.texts or len(sample.texts) < k:
        return None
    correct = sum(exact_match_sample(replace(sample, text=text)) == 1.0 for text in sample.texts)
    return pass_at_k(len(sample.texts), correct, k)


def prepare(args: Mapping[str, Any]) -> None:
    """UserError for a k that is no count."""
    k = args.get("k", 1)
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise UserError(f"metric pass_at_k: k is {k!r}; give 1 or more")


pass_at = share_metric(
    "pass_at_k", pass_at_k_sample, source="Chen et al. 2021, arXiv 2107.03374, eq. 1", prepare=prepare
)
