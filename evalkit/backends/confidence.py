"""How sure a model is of its own answer, by the probabilities that it gives to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from evalkit.contract.types import Generate, Request, Response, Score

Rule = Literal["max_prob", "margin"]


def confidence(answers: Sequence[tuple[Request, Response]], rule: Rule) -> float:
    """How sure a model is of a document's answer, in [0, 1]; 0 where an answer failed.

    Several scores are choices: softmax of their log-likelihoods, its maximum or the distance of its two largest. A
    single text's is exp(log-likelihood / tokens), the least over all texts of the document.
    """
    if any(response.status != "ok" for _, response in answers):
        return 0.0
    values = [response.loglikelihood for _, response in answers]
    if any(value is None for value in values):
        return 0.0
    known = [value for value in values if value is not None]
    if len(known) > 1 and all(isinstance(request, Score) for request, _ in answers):
        top = max(known)
        weights = sorted((math.exp(value - top) for value in known), reverse=True)
        total = sum(weights)
        return weights[0] / total if rule == "max_prob" else (weights[0] - weights[1]) / total
    return min(
        math.exp(value / max(1, response.output_tokens)) for value, (_, response) in zip(known, answers, strict=True)
    )


def own_text(request: Generate, response: Response) -> Score:
    """What asks a model how likely its own reply is."""
    return Score(request.context, response.text or "", request.messages)
