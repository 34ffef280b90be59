"""Perplexities of whole texts. Each sample keeps (log-likelihood in nats, weight); the corpus is one long text."""

from __future__ import annotations

import re

from evalkit.metrics.base import Metric, PerItem, ScoringInput

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


def _perplexity(name: str, per_item: PerItem, source: str = _LM_EVAL) -> Metric:
    return Metric(
        name=name,
        kind="rolling",
        per_item=per_item,
        combine="weighted_perplexity",
        bounds=(1.0, None),
        higher_is_better=False,
        source=source,
    )


word_perplexity = _perplexity("word_perplexity", by_words)
byte_perplexity = _perplexity("byte_perplexity", by_bytes)
bits_per_byte = Metric(
    name="bits_per_byte",
    kind="rolling",
    per_item=by_bytes,
    combine="bits_per_byte",
    unit="bits",
    bounds=(0.0, None),
    higher_is_better=False,
    source=_LM_EVAL,
)
token_perplexity = _perplexity(
    "token_perplexity",
    by_tokens,
    "exp of minus the log-likelihood a token; compares models of one tokenizer only",
)
