"""How an API words a request for text, and what its replies say: OpenAI's chat completions and completions here, other
protocols in `evalkit.backends.hosted`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from evalkit.backends.openai.replies import calls_in, count, first_choice, text_in, thought_in, verdict
from evalkit.backends.openai.streaming import Stream
from evalkit.backends.openai.usage import cached, usage_of
from evalkit.contract.errors import UserError
from evalkit.contract.types import Generate, Image, Message, parts_of
from evalkit.store.identity import is_greedy
from evalkit.store.pictures import data_url
from evalkit.text import tool_calls

MAX_STOPS = 4
"""Stop strings that the API takes; the rest are cut here."""

RESERVED = frozenset(
    {
        "model",
        "prompt",
        "messages",
        "stream",
        "stream_options",
        "n",
        "best_of",
        "echo",
        "logprobs",
        "stop",
        "suffix",
        "chat_template_kwargs",
        "contents",
        "input",
        "system",
        "systemInstruction",
        "tools",
    }
)
"""Generation settings that would change what is asked."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a reply says: its text, what was thought before it, and why it ended ("stop", "length", the server's own
    word for another reason; "": not told).
    """

    text: str
    thought: str
    finish: str


@dataclass(frozen=True, slots=True)
class Counted:
    """Tokens as a server counts them, None where it does not: of the prompt, of all that was written, of the prompt
    from its cache and into it, of what was written those thought; and the USD that it says it took.
    """

    given: int | None = None
    made: int | None = None
    cached: int | None = None
    reasoning: int | None = None
    cost: float | None = None
    stored: int | None = None


class Wire(Protocol):
    """One API for text."""

    lengths: tuple[str, ...]
    """Names that the limit of new tokens may go by."""
    can_stream: bool
    """Whether replies may come piece by piece."""
    streams: Mapping[str, Any]
    """What is added to a request for that; it may be empty."""

    def path(self, model: str, chat: bool, streamed: bool) -> str:
        """Where a request goes, behind the base URL."""
        ...

    def body(self, model: str, length_field: str, request: Generate, variables: Mapping[str, Any]) -> dict[str, Any]:
        """What is sent. Raises UserError for generation settings that would change what is asked."""
        ...

    def begin(self, sent: float) -> Stream:
        """What takes a reply's events; ``sent``: when its request was."""
        ...

    def said(self, reply: Any, chat: bool) -> Said:
        """What a reply says, streamed or whole. Raises Unusable."""
        ...

    def counted(self, reply: Any) -> Counted:
        """The tokens that it took."""
        ...


class OpenAIWire:
    """Chat completions for conversations, completions for plain prompts.

    ``chat_only``: there are no plain prompts; each goes as one turn of the user. ``seed``: what the seed is called.
    """

    can_stream = True

    def __init__(
        self,
        chat_only: bool = False,
        seed: str = "seed",
        counts_unasked: bool = False,
        lengths: tuple[str, ...] = ("max_tokens", "max_completion_tokens"),
    ) -> None:
        self.lengths = lengths
        self._chat_only = chat_only
        self._seed = seed
        asked = {} if counts_unasked else {"stream_options": {"include_usage": True}}
        self.streams: Mapping[str, Any] = {"stream": True, **asked}

    def path(self, model: str, chat: bool, streamed: bool) -> str:
        """Where a request goes."""
        return "/chat/completions" if chat or self._chat_only else "/completions"

    def body(self, model: str, length_field: str, request: Generate, variables: Mapping[str, Any]) -> dict[str, Any]:
        """What is sent. Raises UserError for generation settings that would change what is asked."""
        extra = extras(request)
        sent: dict[str, Any] = {"model": model, length_field: request.max_tokens}
        if request.messages is not None or self._chat_only:
            asked = turns(request, tools=True)
            sent["messages"] = [{"role": one.role, "content": content(one, _text_part, _image_part)} for one in asked]
            if tools := tool_calls.offered(asked):
                sent["tools"] = tools
            if variables:
                sent["chat_template_kwargs"] = dict(variables)
        else:
            sent["prompt"] = request.context
        if request.until:
            sent["stop"] = list(request.until[:MAX_STOPS])
        return {**sent, **drawn(request, self._seed, "top_p", "top_k"), **extra}

    def begin(self, sent: float) -> Stream:
        """What takes a reply's events."""
        return Stream(sent)

    def said(self, reply: Any, chat: bool) -> Said:
        """What a reply says, streamed or whole."""
        if isinstance(reply, Stream):
            text, refusal, thought, finish = reply.text, reply.refusal, reply.thought, reply.finish
            calls = reply.calls
        else:
            choice = first_choice(reply)
            inner = choice.get("message")
            message = inner if (chat or self._chat_only) and isinstance(inner, Mapping) else choice
            text, refusal, finish = text_in(message), message.get("refusal"), choice.get("finish_reason")
            thought, calls = thought_in(message), calls_in(message)
        if calls:
            return Said(tool_calls.joined(text or "", calls), thought, str(finish or ""))
        said = verdict(text, refusal if isinstance(refusal, str) else None, finish)
        return Said(said, thought, str(finish or ""))

    def counted(self, reply: Any) -> Counted:
        """Tokens, and OpenRouter's cost."""
        usage = usage_of(reply)
        given, made = count(usage, "prompt_tokens"), count(usage, "completion_tokens")
        details = usage.get("completion_tokens_details")
        reasoning = count(details, "reasoning_tokens") if isinstance(details, Mapping) else None
        whole = count(usage, "total_tokens")
        # Some providers (xAI) count thoughts beside the completion, and the total tells.
        if reasoning and given is not None and made is not None and whole == given + made + reasoning:
            made += reasoning
        cost = usage.get("cost")
        told = cost if isinstance(cost, int | float) and not isinstance(cost, bool) and 0 <= cost < 1e9 else None
        return Counted(given, made, cached(reply), reasoning, told, stored(usage, "prompt_tokens_details"))


def stored(usage: Mapping[str, Any], details: str) -> int | None:
    """Tokens of the prompt that went into OpenAI's cache, where that is told (and paid)."""
    found = usage.get(details)
    return count(found, "cache_write_tokens") if isinstance(found, Mapping) else None


def turns(request: Generate, tools: bool = False) -> Sequence[Message]:
    """The conversation of a request; a plain prompt is one turn of the user. UserError where it offers functions to
    call and the API's words for them are not known here (``tools`` False).
    """
    found = (Message("user", request.context),) if request.messages is None else request.messages
    if not tools and any(one.tools for one in found):
        raise UserError(
            "tools are sent to servers with OpenAI's chat API alone: ask this provider for calls as text "
            "(calls=prompted), or by its OpenAI-compatible address"
        )
    return found


def content(message: Message, text: Callable[[str], Any], image: Callable[[Image], Any]) -> Any:
    """What a turn holds: its text alone, or, where it shows images, its parts in an API's words. ValueError where the
    marks in the text do not fit the images.
    """
    return parts(message, text, image) if message.images else message.content


def parts(message: Message, text: Callable[[str], Any], image: Callable[[Image], Any]) -> list[Any]:
    """The same as parts, also where there is only text."""
    return [text(part) if isinstance(part, str) else image(part) for part in parts_of(message)]


def in_base64(image: Image) -> str:
    """A picture's bytes as JSON carries them."""
    return base64.b64encode(image.data).decode()


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _image_part(image: Image) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": data_url(image)}}


def extras(request: Generate) -> dict[str, Any]:
    """The backend's own generation settings. Raises UserError for those that would change what is asked."""
    extra = {key: value for key, value in request.sampling.extra if key != "do_sample"}
    if taken := RESERVED & extra.keys():
        raise UserError(f"--gen_kwargs {', '.join(sorted(taken))}: cannot be set for a server")
    return extra


def drawn(request: Generate, seed: str | None, top_p: str, top_k: str | None) -> dict[str, Any]:
    """How tokens are chosen, under an API's names; None: it has no such setting."""
    sampling = request.sampling
    if is_greedy(sampling):
        return {"temperature": 0}
    found: dict[str, Any] = {"temperature": sampling.temperature or 1.0}
    if seed is not None:
        # Each sample of a question has a seed of its own, or they would all be one answer.
        found[seed] = sampling.seed + request.repeat
    if sampling.top_p < 1:
        found[top_p] = sampling.top_p
    if sampling.top_k > 0 and top_k is not None:
        found[top_k] = sampling.top_k
    return found
