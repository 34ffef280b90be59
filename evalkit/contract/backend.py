"""What a backend is: token sequences in, log-probabilities or tokens out. It knows nothing of tasks or files.

A backend comes in one of two shapes, and the engine asks which by ``isinstance`` of the protocol:

* ``TokenBackend`` has a tokenizer of its own in this process (hf, gguf, vllm, mock). The engine encodes, drops
  duplicates, plans shared prefixes and hands over rows of token ids.
* ``TextBackend`` answers whole requests (servers, predictions made elsewhere).

What else it can do it says as ``capabilities`` (`evalkit.contract.capabilities.Capabilities`); how each of them is used
is one of the small protocols in `evalkit.contract.optional`. A backend without ``capabilities`` is taken by the
protocols that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from evalkit.contract.types import Message, ModelInfo, Request, Response, Sampling

Tokens = npt.NDArray[np.int32]
"""Token ids of one sequence, shape [length]: four bytes a token, so that a million rows fit."""


def no_op() -> None:
    """What a backend calls between two passes until the engine sets something else as its ``after_pass``."""


@dataclass(frozen=True, slots=True, eq=False)
class LoglikelihoodRow:
    """Score ``tokens[start:]`` given ``tokens[:start]``; 1 <= start < len(tokens) <= max_length + 1."""

    tokens: Tokens
    start: int


@dataclass(frozen=True, slots=True)
class LoglikelihoodResult:
    """Summed log-likelihood in nats, and whether every scored token was the arg-max."""

    loglikelihood: float
    is_greedy: bool


@dataclass(frozen=True, slots=True, eq=False)
class GenerateRow:
    """Continue ``tokens`` by at most ``max_tokens`` tokens, until a stop string or end-of-sequence."""

    tokens: Tokens
    until: tuple[str, ...]
    max_tokens: int
    sampling: Sampling
    key: str = ""
    """The request's identity; seeds sampling so that an answer does not depend on its batch."""


@dataclass(frozen=True, slots=True)
class GenerateResult:
    """The text before the first stop string, how many tokens were produced, and why it ended:
    "stop" (a stop string or end-of-sequence), "length" or `UNFINISHED`. ``thought``: what the model thought before it
    answered, which is no part of the text; None where it did not.
    """

    text: str
    output_tokens: int
    finish: str
    thought: str | None = None


RowResult = LoglikelihoodResult | GenerateResult
OnResult = Callable[[int, "RowResult | Exception"], None]
"""Called once a row, with the row's index, as soon as its answer is there; an exception marks that row failed."""


@runtime_checkable
class TokenBackend(Protocol):
    """A backend whose tokenizer runs here."""

    info: ModelInfo
    eot_id: int
    """End-of-text; also the default prefix of an empty context."""
    prefix_id: int

    def encode(self, texts: Sequence[str], special: bool | None = None) -> list[list[int]]:
        """Token ids of each text. ``special``: add special tokens; None: as the model is configured
        (add_bos, and never a second BOS on a text that begins with one).
        """
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of token ids, special tokens left out."""
        ...

    def chat(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        """The conversation as text by the model's template. Raises UserError where the model has none."""
        ...

    def score(self, rows: Sequence[LoglikelihoodRow], done: OnResult) -> None:
        """RowResult every row, in any order, through ``done``."""
        ...

    def generate(self, rows: Sequence[GenerateRow], done: OnResult) -> None:
        """RowResult every row, in any order, through ``done``."""
        ...

    def close(self) -> None:
        """Free the model's memory."""
        ...


@runtime_checkable
class TextBackend(Protocol):
    """A backend that takes whole requests; it may raise UserError for kinds that it cannot answer."""

    info: ModelInfo

    def respond(self, requests: Sequence[Request]) -> Iterator[tuple[int, Response]]:
        """(index, response) of every request, in any order, as they come."""
        ...

    def close(self) -> None: ...


Backend = TokenBackend | TextBackend
