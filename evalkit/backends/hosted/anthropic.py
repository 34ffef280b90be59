"""Anthropic's messages (platform.claude.com/docs/en/api/messages, looked up in November 2026).

The version 2023-06-01 of the API is asked for: the one of 2026-10-21 takes no temperature from any model, so that
nothing could be asked for greedily. Models that take none by themselves are asked without one, and the record says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from evalkit.backends.openai.replies import Unusable, Withheld, count
from evalkit.backends.openai.streaming import Stream
from evalkit.backends.openai.wire import Counted, Said, content, drawn, extras, in_base64, turns
from evalkit.contract.types import Generate, Image

FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
}
MAX_STOPS = 4


class AnthropicStream(Stream):
    """Events with types of their own; the tokens come in two of them."""

    def take_event(self, event: Mapping[str, Any]) -> None:
        """One event."""
        kind = event.get("type")
        if kind == "message_start":
            self._usage(event.get("message"))
        elif kind == "content_block_start":
            self._content(event.get("content_block"))
        elif kind == "content_block_delta":
            self._content(event.get("delta"))
        elif kind == "message_delta":
            delta = event.get("delta")
            self.finish = (delta.get("stop_reason") if isinstance(delta, Mapping) else None) or self.finish
            self._usage(event)
        elif kind == "message_stop":
            self.finish = self.finish or "end_turn"

    def _usage(self, part: Any) -> None:
        usage = part.get("usage") if isinstance(part, Mapping) else None
        if isinstance(usage, Mapping):
            self.usage = {**self.usage, **{key: value for key, value in usage.items() if value is not None}}

    def _content(self, part: Any) -> None:
        said, thought = _texts(part)
        if said is not None or thought:
            self.piece(said, thought)


class AnthropicWire:
    """POST /messages. Stop strings of white space alone are refused there, and cut here."""

    lengths: tuple[str, ...] = ("max_tokens",)
    can_stream = True
    streams: Mapping[str, Any] = MappingProxyType({"stream": True})

    def path(self, model: str, chat: bool, streamed: bool) -> str:
        """Where a request goes."""
        return "/messages"

    def body(self, model: str, length_field: str, request: Generate, variables: Mapping[str, Any]) -> dict[str, Any]:
        """What is sent: system turns stand apart from the conversation."""
        asked = turns(request)
        sent: dict[str, Any] = {
            "model": model,
            "max_tokens": request.max_tokens,
            "messages": [
                {"role": one.role, "content": content(one, _text_part, _image_part)}
                for one in asked
                if one.role != "system"
            ],
        }
        if system := "\n\n".join(one.content for one in asked if one.role == "system"):
            sent["system"] = system
        if stops := [one for one in request.until if one.strip()][:MAX_STOPS]:
            sent["stop_sequences"] = stops
        return {**sent, **drawn(request, None, "top_p", "top_k"), **extras(request)}

    def begin(self, sent: float) -> Stream:
        """What takes a reply's events."""
        return AnthropicStream(sent)

    def said(self, reply: Any, chat: bool) -> Said:
        """What a reply says; a refusal without a text is the provider's, not the model's."""
        if isinstance(reply, Stream):
            text, thought, reason = reply.text, reply.thought, reply.finish
        else:
            blocks = reply.get("content") if isinstance(reply, Mapping) else None
            if not isinstance(blocks, list):
                raise Unusable("the server's reply has no content")
            parts = [_texts(block) for block in blocks]
            said = [one for one, _ in parts if one is not None]
            text, thought = "".join(said) if said else None, "".join(one for _, one in parts)
            reason = reply.get("stop_reason")
        if reason == "refusal" and not text:
            raise Withheld("the provider withheld the answer (refusal)")
        if text is None and reason not in FINISHES:
            raise Unusable("the server's reply has no text")
        return Said(text or "", thought, FINISHES.get(str(reason), str(reason or "")))

    def counted(self, reply: Any) -> Counted:
        """Tokens: those of the prompt are told in three parts."""
        usage = reply.usage if isinstance(reply, Stream) else reply.get("usage") if isinstance(reply, Mapping) else None
        if not isinstance(usage, Mapping):
            return Counted()
        fresh, made = count(usage, "input_tokens"), count(usage, "output_tokens")
        read, written = (count(usage, f"cache_{what}_input_tokens") or 0 for what in ("read", "creation"))
        details = usage.get("output_tokens_details")
        thought = count(details, "thinking_tokens") if isinstance(details, Mapping) else None
        return Counted(None if fresh is None else fresh + read + written, made, read, thought, stored=written)


def _texts(block: Any) -> tuple[str | None, str]:
    """What a block of content, or a piece of one, says and thinks."""
    if not isinstance(block, Mapping):
        return None, ""
    text, thought = block.get("text"), block.get("thinking")
    return text if isinstance(text, str) else None, thought if isinstance(thought, str) else ""


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _image_part(image: Image) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": image.media_type, "data": in_base64(image)}}
