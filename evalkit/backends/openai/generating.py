"""Text from a server: chat completions for conversations, completions for plain prompts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.backends.openai.http import Client
from evalkit.backends.openai.scoring import Unusable, first_choice
from evalkit.backends.sampling import cut_at_stops
from evalkit.errors import UserError
from evalkit.identity import is_greedy
from evalkit.types import Generate, Response

MAX_STOPS = 4
"""Stop strings that the API takes; the rest are cut here."""

RESERVED = frozenset({"model", "prompt", "messages", "stream", "n", "best_of", "echo", "logprobs", "stop", "suffix"})


def generate(client: Client, model: str, max_tokens_field: str, request: Generate) -> Response:
    """The text before the first stop string. A reply without text is an error, an empty text is an answer."""
    chat = request.messages is not None
    reply = client.post("/chat/completions" if chat else "/completions", body(model, max_tokens_field, request))
    try:
        choice = first_choice(reply)
        text = _text(choice, chat)
    except Unusable as error:
        return Response(status="error", error=str(error))
    cut = cut_at_stops(text, request.until)
    usage = reply.get("usage") if isinstance(reply.get("usage"), Mapping) else {}
    finish = "stop" if len(cut) < len(text) else choice.get("finish_reason")
    return Response(
        text=cut,
        finish=finish if finish in ("stop", "length") else str(finish)[:40] if finish else None,
        prompt_tokens=_count(usage, "prompt_tokens"),
        output_tokens=_count(usage, "completion_tokens"),
    )


def body(model: str, max_tokens_field: str, request: Generate) -> dict[str, Any]:
    """What is sent. Raises UserError for generation settings that would change what is asked."""
    extra = {key: value for key, value in request.sampling.extra if key != "do_sample"}
    if taken := RESERVED & extra.keys():
        raise UserError(f"--gen_kwargs {', '.join(sorted(taken))}: cannot be set for a server")
    sent: dict[str, Any] = {"model": model, max_tokens_field: request.max_tokens}
    if request.messages is not None:
        sent["messages"] = [{"role": one.role, "content": one.content} for one in request.messages]
    else:
        sent["prompt"] = request.context
    if request.until:
        sent["stop"] = list(request.until[:MAX_STOPS])
    sampling = request.sampling
    if is_greedy(sampling):
        sent["temperature"] = 0
    else:
        # Each sample of a question has a seed of its own, or they would all be one answer.
        sent |= {"temperature": sampling.temperature or 1.0, "seed": sampling.seed + request.repeat}
        if sampling.top_p < 1:
            sent["top_p"] = sampling.top_p
        if sampling.top_k > 0:
            sent["top_k"] = sampling.top_k
    return {**sent, **extra}


def _text(choice: Mapping[str, Any], chat: bool) -> str:
    message = choice.get("message") if chat else choice
    text = message.get("content" if chat else "text") if isinstance(message, Mapping) else None
    if not isinstance(text, str):
        raise Unusable("the server's reply has no text")
    return text


def _count(usage: Any, key: str) -> int:
    value = usage.get(key)
    return value if isinstance(value, int) and value >= 0 else 0
