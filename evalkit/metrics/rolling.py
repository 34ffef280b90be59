"""Perplexities of whole texts. Each sample keeps (log-likelihood in nats, weight); the corpus is one long text."""

from __future__ import annotations

import re

from evalkit.metrics.base import MetricDef, ScoringInput

_LM_EVAL = "lm-evaluation-harness 0.4.13, loglikelihood_rolling"
_SPACE = re.compile(r"\s+")


def by_words(sample: ScoringInput) -> tuple[float, float]:
    """(log-likelihood, words): what stands between runs of white space, empty ends counted, as lm-eval does."""
    return sample.loglikelihoods[0], float(len(_SPACE.split(sample.reference_text)))


def by_bytes(sample: ScoringInput) -> tuple[float, float]:
    """(log-likelihood, UTF-8 bytes)."""
    return sample.loglikelihoods[0], float(len(sample.reference_text.encode()))


def by_tokens(sample: ScoringInput) -> tuple[float, float] | None:
    """(log-likelihood, tokens of the model's own tokenizer); None where the backend does not count them."""
    return (sample.loglikelihoods[0], float(sample.tokens)) if sample.tokens else None


word_perplexity = MetricDef("word_perplexity", "rolling", by_words, "weighted_perplexity", False, False, _LM_EVAL)
byte_perplexity = MetricDef("byte_perplexity", "rolling", by_bytes, "weighted_perplexity", False, False, _LM_EVAL)
bits_per_byte = MetricDef(
    "bits_per_byte", "rolling", by_bytes, "bits_per_byte", False, False, _LM_EVAL, bounds=(0.0, None)
)
token_perplexity = MetricDef(
    "token_perplexity",
    "rolling",
    by_tokens,
    "weighted_perplexity",
    False,
    False,
    "exp of minus the log-likelihood a token; compares models of one tokenizer only",
)
