"""Metrics of tasks that ask for the log-likelihood of one continuation (LAMBADA)."""

from __future__ import annotations

from evalkit.metrics.base import Metric, ScoringInput

_LM_EVAL = "lm-evaluation-harness 0.4.13, loglikelihood"


def acc_sample(sample: ScoringInput) -> float:
    """1 where greedy decoding would have written the continuation."""
    return float(sample.is_greedy[0])


def loglikelihood_sample(sample: ScoringInput) -> float:
    """The continuation's log-likelihood in nats, of which perplexity is exp(-mean)."""
    return float(sample.loglikelihoods[0])


acc = Metric(name="acc", kind="score", per_item=acc_sample, higher_is_better=True, binary=True, source=_LM_EVAL)
perplexity = Metric(
    name="perplexity",
    kind="score",
    per_item=loglikelihood_sample,
    combine="perplexity",
    bounds=(1.0, None),
    higher_is_better=False,
    source=_LM_EVAL,
)
