"""The money that a run may cost: each request sets aside what it can cost at the most before it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from evalkit.backends.pricing import Price
from evalkit.contract.errors import LimitReached, UserError
from evalkit.contract.types import Generate, Request

AROUND = 64
"""Tokens that a provider may add to a prompt, at the most: roles, ends of turns."""


PICTURE = 20_480
"""Tokens of a picture at the most: Gemini counts 258 for each tile of 768 by 768 pixels, others fewer."""


class Budget:
    """What the answers of a run have cost, and what those under way may cost. On one event loop.

    A prompt has at most as many tokens as UTF-8 bytes, and an answer at most its limit, thoughts included; so the limit
    is not passed whatever comes back. Not counted: a request that the provider billed and whose answer never came.
    """

    def __init__(self, price: Price | None, limit: float | None) -> None:
        self.price = price
        self._limit = limit
        self.spent = 0.0
        """USD, of earlier parts of the run too."""
        self._held = 0.0
        self._changed = asyncio.Condition()

    def require_text(self) -> None:
        """UserError where log-likelihoods are asked for under a limit: what they cost is not told by a server."""
        if self._limit is not None:
            raise UserError(
                "--max-cost: what log-likelihoods cost at a server is not known: ask for choices as text by "
                "--model_args mc=generate, or leave --max-cost out"
            )

    async def admit(self, requests: Sequence[Request]) -> float:
        """Set aside, and return, what ``requests`` may cost; waits for others under way where only they stand in the
        way. Raises LimitReached where the money does not do.
        """
        if self._limit is None or self.price is None:
            return 0.0
        most = sum(self.price.cost(*_most(one)) for one in requests)
        async with self._changed:
            while self.spent + self._held + most > self._limit:
                if not self._held:
                    raise self._reached(most)
                await self._changed.wait()
            self._held += most
        return most

    async def settle(self, held: float, cost: float) -> None:
        """What was set aside has cost so much."""
        self.spent += cost
        if held:
            async with self._changed:
                self._held = max(0.0, self._held - held)
                if self._held < 1e-12:  # rounding of sums
                    self._held = 0.0
                self._changed.notify_all()

    def _reached(self, most: float) -> LimitReached:
        return LimitReached(
            f"stopped at --max-cost {self._limit:g} USD: {self.spent:.4g} USD are spent, and the next request may cost "
            f"{most:.2g}; what was answered is kept: resume with a higher --max-cost"
        )


def _most(request: Request) -> tuple[int, int]:
    """The most tokens that a request can have read and written."""
    assert isinstance(request, Generate)
    turns = [request.context] if request.messages is None else [one.content for one in request.messages]
    pictures = sum(len(one.images) for one in request.messages or ())
    return sum(len(turn.encode()) + AROUND for turn in turns) + PICTURE * pictures, request.max_tokens
