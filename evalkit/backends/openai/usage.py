"""What a server says of the tokens that a request took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.backends.openai.replies import count
from evalkit.backends.openai.streaming import Stream


def usage_of(reply: Any) -> Mapping[str, Any]:
    """The reply's ``usage``; empty where it has none."""
    return _part(reply, "usage")


def cached(reply: Any) -> int | None:
    """Tokens of the prompt that came from the server's cache: as OpenAI and vLLM say it, or as llama.cpp does."""
    details = usage_of(reply).get("prompt_tokens_details")
    told = count(details, "cached_tokens") if isinstance(details, Mapping) else None
    return count(_part(reply, "timings"), "cache_n") if told is None else told


def _part(reply: Any, name: str) -> Mapping[str, Any]:
    value = getattr(reply, name) if isinstance(reply, Stream) else reply.get(name) if isinstance(reply, Mapping) else {}
    return value if isinstance(value, Mapping) else {}
