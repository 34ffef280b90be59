"""Latencies: raw values and their percentiles, by vLLM's definitions.

TTFT: from the prompt's turn to its first token. ITL: between two tokens of one sequence, one value a token. TPOT: of
one sequence, (end-to-end - TTFT) / (tokens - 1). E2E: from the prompt's turn to the last token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

PERCENTILES = (50, 90, 99)


def summary(values: Sequence[float], weights: Sequence[int] | None = None) -> dict[str, Any] | None:
    """n, mean and percentiles in seconds (linear between ranks, as numpy's default); None for no values.

    ``weights[i]`` says how many times value i counts (a decode step of n sequences is the latency of n tokens).
    """
    import numpy as np

    if not len(values):
        return None
    data = np.asarray(values, dtype=np.float64)
    if weights is not None:
        data = np.repeat(data, np.asarray(weights, dtype=np.int64))
    if not len(data):
        return None
    found = {"n": len(data), "mean_s": float(data.mean())}
    for percent, value in zip(PERCENTILES, np.percentile(data, PERCENTILES), strict=True):
        found[f"p{percent}_s"] = float(value)
    return found
