"""Drawing a token of a row's logits: temperature, then the likeliest ``top_k``, then a nucleus of ``top_p``.

A token is found by one uniform number of the row's own generator on the cumulated probabilities, in float64. So a draw
does not depend on the batch, hardly on its rounding, and takes no sort of the vocabulary, which would take longer than
the model.
"""

from __future__ import annotations

import torch

FIRST = 256
"""Likeliest tokens that are looked at first for a nucleus; eight times as many where they do not reach it."""


def draw(logits: torch.Tensor, temperature: float, top_k: int, top_p: float, generator: torch.Generator | None) -> int:
    """One token of softmax(logits [vocabulary] / temperature) among the ``top_k`` likeliest (0: all) and the smallest
    set of them whose probability reaches ``top_p`` (Holtzman et al., arXiv 1904.09751). ``logits`` are on the CPU.
    """
    scores = (logits.double() - logits.max()) / temperature  # the likeliest is 0 however small the temperature
    tokens: torch.Tensor | None = None
    if 0 < top_k < len(scores):
        scores, tokens = scores.topk(top_k)
    if top_p < 1.0:
        scores, places = _nucleus(scores, top_p)
        tokens = places if tokens is None else tokens[places]
    bounds = scores.softmax(dim=-1).cumsum(dim=-1)
    chosen = torch.rand((), dtype=torch.float64, generator=generator) * bounds[-1]
    place = min(int(torch.searchsorted(bounds, chosen, right=True)), len(bounds) - 1)
    return place if tokens is None else int(tokens[place])


def _nucleus(scores: torch.Tensor, top_p: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The likeliest of ``scores`` that are needed to reach ``top_p``, at least one, with their places."""
    whole = scores.logsumexp(dim=-1)
    count = min(FIRST, len(scores))
    while True:
        values, places = scores.topk(count)
        reached = (values - whole).exp().cumsum(dim=-1)
        if count == len(scores) or float(reached[-1]) >= top_p:
            break
        count = min(8 * count, len(scores))
    keep = 1 + int(torch.searchsorted(reached, top_p, right=False))
    return values[:keep], places[:keep]
