"""Choosing tokens, for backends that bring no such functions of their own."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from evalkit.contract.types import Sampling


def generator(sampling: Sampling, key: str) -> np.random.Generator | None:
    """A generator of a request's own, so that its answer does not depend on its batch; None for greedy decoding."""
    if sampling.temperature <= 0:
        return None
    seed = hashlib.sha256(f"{sampling.seed}:{key}".encode()).digest()
    return np.random.default_rng(int.from_bytes(seed[:8], "big"))


def choose(logits: npt.NDArray[np.float32], sampling: Sampling, draw: np.random.Generator | None) -> int:
    """One token of ``logits`` [vocabulary]: the arg-max without ``draw``, else of softmax(logits / temperature) among
    the ``top_k`` likeliest (0: all) and the smallest set whose probability reaches ``top_p`` (Holtzman et al.,
    arXiv 1904.09751).
    """
    if draw is None:
        return int(logits.argmax())
    scores = logits.astype(np.float64) / sampling.temperature
    tokens = np.argsort(-scores, kind="stable")
    if 0 < sampling.top_k < len(tokens):
        tokens = tokens[: sampling.top_k]
    weights = np.exp(scores[tokens] - scores[tokens[0]])
    probabilities = weights / weights.sum()
    if sampling.top_p < 1.0:
        before = probabilities.cumsum() - probabilities
        probabilities = probabilities[: max(1, int(np.searchsorted(before, sampling.top_p, side="left")))]
        probabilities = probabilities / probabilities.sum()
    return int(draw.choice(tokens[: len(probabilities)], p=probabilities))
