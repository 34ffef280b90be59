"""What a backend hands back is held to what it can be: a place that was asked for, once, and a possible number."""

from __future__ import annotations

import operator
from dataclasses import replace
from math import isfinite
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import Response

HIGHEST_LOGLIKELIHOOD = 1e-3
"""Nats: a probability is at most one; what rounding may add to the sum of many logarithms."""


class Places:
    """The places of a list, each to be answered once."""

    def __init__(self, count: int) -> None:
        self._open = bytearray(b"\1" * count)

    def take(self, index: Any) -> int:
        """``index`` as a place of the list. Raises UserError for another number (a negative one would be counted from
        the list's end, and answer another question), and for a place that has been answered.
        """
        try:
            place = operator.index(index)
        except TypeError:
            place = -1
        if isinstance(index, bool) or not 0 <= place < len(self._open):
            raise UserError(
                f"the backend answered row {index!r} of {len(self._open)} (from 0 on): its author has to mend it"
            )
        if not self._open[place]:
            raise UserError(f"the backend answered row {place} twice: its author has to mend it")
        self._open[place] = 0
        return place


def impossible(loglikelihood: Any) -> str | None:
    """Why a number is no log-likelihood; None where it can be one."""
    if isinstance(loglikelihood, bool) or not isinstance(loglikelihood, int | float):
        return f"the log-likelihood is {loglikelihood!r:.40}, which is no number"
    if not isfinite(loglikelihood):
        return f"the log-likelihood is {loglikelihood}: the model's logits are not finite"
    if loglikelihood > HIGHEST_LOGLIKELIHOOD:
        return f"the log-likelihood is {loglikelihood:g}: above zero, where no probability has its logarithm"
    return None


def possible(response: Response) -> Response:
    """The response, or an error in its place where its log-likelihood cannot be."""
    if response.values and not all(isfinite(value) for value in response.values):
        return replace(response, status="error", error="the model's logits are not finite", values=())
    if response.loglikelihood is None or (problem := impossible(response.loglikelihood)) is None:
        return response
    return replace(response, status="error", error=problem, loglikelihood=None, is_greedy=None)
