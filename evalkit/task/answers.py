"""What the responses to one item hold: whether they can be scored, and what a reader wants to see of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.contract.types import Response
from evalkit.task.rendering import Item

NOTHING: Mapping[str, Any] = {}
"""One for all samples that have nothing there."""


def failure(expected: int, responses: Sequence[Response], kind: str) -> str | None:
    """Why these responses cannot be scored, or None."""
    if len(responses) != expected:
        return f"{len(responses)} answers came for {expected} requests"
    for response in responses:
        if response.status == "error":
            return response.error or "the backend gave no reason"
        if response.status != "ok":
            continue
        if kind == "generate":
            if response.text is None:
                return "the answer holds no text"
        elif response.loglikelihood is None or math.isnan(response.loglikelihood):
            return "the answer holds no log-likelihood"
    return None


def choice_details(item: Item, responses: Sequence[Response]) -> Mapping[str, Any]:
    """What a reader of samples wants to see beside the numbers: the choices and the likeliest one."""
    if not item.choices:
        return NOTHING
    scores = [response.loglikelihood or 0.0 for response in responses]
    return {"choices": list(item.choices), "prediction": scores.index(max(scores))}
