"""From hidden states to logits: the output embedding, and what some architectures do to its result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Head = Callable[[torch.Tensor], torch.Tensor]
"""Hidden rows [n, width] -> logits [n, vocabulary]."""


def candidates(model: Any) -> list[Head]:
    """What may be a model's head by its configuration; the probe at load takes the one that gives its logits.

    Scales: Cohere (``logit_scale``, multiplied), Granite (``logits_scaling``, divided); caps: Gemma 2
    (``final_logit_softcapping``, arXiv 2408.00118, section 2), RecurrentGemma, xLSTM.
    """
    embedding: Head = model.get_output_embeddings()
    config = model.config.get_text_config()
    found: list[Head] = []
    for name in ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap"):
        if cap := getattr(config, name, None):
            found.append(_capped(embedding, float(cap)))
    for name in ("logit_scale", "logits_scaling", "lm_head_multiplier"):
        factor = getattr(config, name, None)
        if isinstance(factor, int | float) and factor not in (0, 1):
            found += [_scaled(embedding, float(factor)), _scaled(embedding, 1 / float(factor))]
    return [embedding, *found]


def _scaled(embedding: Head, factor: float) -> Head:
    return lambda rows: embedding(rows) * factor


def _capped(embedding: Head, cap: float) -> Head:
    return lambda rows: torch.tanh(embedding(rows) / cap) * cap
