"""Metrics of tasks that ask for the log-likelihood of one continuation (LAMBADA)."""

from __future__ import annotations

from evalkit.metrics.base import MetricDef, ScoringInput

_LM_EVAL = "lm-evaluation-harness 0.4.13, loglikelihood"


def acc_sample(sample: ScoringInput) -> float:
    """1 where greedy decoding would have written the continuation."""
    return float(sample.is_greedy[0])


def loglikelihood_sample(sample: ScoringInput) -> float:
    """The continuation's log-likelihood in nats, of which perplexity is exp(-mean)."""
    return float(sample.loglikelihoods[0])


acc = MetricDef("acc", "score", acc_sample, "mean", True, True, _LM_EVAL)
perplexity = MetricDef("perplexity", "score", loglikelihood_sample, "perplexity", False, False, _LM_EVAL)
