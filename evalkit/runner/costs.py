"""What a run on a paid model is going to cost and to take, as far as that can be known before anything is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from evalkit.backends import opening
from evalkit.contract.capabilities import Quote
from evalkit.contract.types import Generate, Request
from evalkit.runner.workload import Workload
from evalkit.spec.models import ModelSpec

BYTES_PER_TOKEN = 4
"""UTF-8 bytes of English text that one token of today's tokenizers holds, about; other languages have fewer."""
PICTURE_TOKENS = 1_600
"""Tokens of a picture, about: what Anthropic counts for one of 1.2 million pixels, which others stay below."""
TURN_TOKENS = 4
"""Tokens around each turn of a conversation, about."""
FIRST_S, TOKENS_PER_S = 1.0, 50.0
"""Seconds to the first token, and tokens a second from there, of a hosted model that is neither fast nor slow."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Money in USD and time in seconds. What is written is not known before, only what it can be at the most."""

    quote: Quote
    requests: int
    """Different ones: a question that stands twice is asked once."""
    prompt_tokens: int
    most_output_tokens: int
    most_seconds: float

    @property
    def prompt_usd(self) -> float | None:
        """What reading the prompts costs; None where no price is known."""
        return None if self.quote.price is None else self.prompt_tokens * self.quote.price[0] / 1e6

    @property
    def most_usd(self) -> float | None:
        """What everything costs if every answer is as long as it may be."""
        if self.quote.price is None or self.prompt_usd is None:
            return None
        return self.prompt_usd + self.most_output_tokens * self.quote.price[1] / 1e6


def expected(model: ModelSpec, workloads: Sequence[Workload]) -> Expected | None:
    """What asking ``workloads`` of a resolved model comes to; None for a model that nobody pays for."""
    quote = opening.quote_of(model)
    return None if quote is None else expected_of(quote, _generations(workloads))


def expected_of(quote: Quote, requests: Iterable[Generate]) -> Expected:
    """What asking ``requests`` at ``quote`` comes to."""
    asked = {_identity(one): one for one in requests}.values()
    prompt = sum(_tokens(one) for one in asked)
    most = sum(one.max_tokens for one in asked)
    seconds = (len(asked) * FIRST_S + most / TOKENS_PER_S) / max(1, min(quote.at_once, len(asked)))
    return Expected(quote, len(asked), prompt, most, seconds)


def _generations(workloads: Sequence[Workload]) -> Iterator[Generate]:
    for workload in workloads:
        for requests in workload.requests:
            yield from (one for one in requests if isinstance(one, Generate))


def _identity(request: Generate) -> object:
    repeat = request.repeat if request.sampling.temperature > 0 else 0
    return request.context, request.messages, request.until, request.max_tokens, repr(request.sampling), repeat


def _tokens(request: Request) -> int:
    """Of a prompt, about."""
    assert isinstance(request, Generate)
    turns = [request.context] if request.messages is None else [one.content for one in request.messages]
    pictures = PICTURE_TOKENS * sum(len(one.images) for one in request.messages or ())
    return sum(-(-len(turn.encode()) // BYTES_PER_TOKEN) + TURN_TOKENS for turn in turns) + pictures
