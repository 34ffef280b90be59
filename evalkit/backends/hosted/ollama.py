"""Ollama's own chat (docs.ollama.com/api, looked up in November 2026): the one that takes a window for each request,
where the OpenAI-compatible address cuts prompts at the server's default without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from evalkit.backends.openai.replies import Unusable, count
from evalkit.backends.openai.streaming import Stream
from evalkit.backends.openai.wire import Counted, Said, drawn, extras, in_base64, turns
from evalkit.contract.types import Generate, Message, parts_of

BESIDE = frozenset({"think", "keep_alive", "format"})
"""Settings that stand beside the options."""
LARGEST_WINDOW = 8192
"""Tokens: the window that is asked for where the user names none and the model has more: memory goes with it."""


class OllamaStream(Stream):
    """A JSON object a line, the last one ``done``."""

    def _line(self, line: bytes) -> None:
        if line:
            super()._line(line if line.startswith((b"data:", b"error:")) else b"data: " + line)

    def take_event(self, event: Mapping[str, Any]) -> None:
        """One object."""
        said, thought = _texts(event)
        if said or thought:
            self.piece(said, thought)
        if event.get("done"):
            self.finish = event.get("done_reason") or "stop"
            self.usage = event
            if self.text is None:
                self.piece("", "")


class OllamaWire:
    """POST /api/chat. ``window``: tokens of prompt and answer together."""

    lengths: tuple[str, ...] = ("max_tokens",)
    can_stream = True
    streams: Mapping[str, Any] = MappingProxyType({"stream": True})

    def __init__(self, window: int | None) -> None:
        self._window = window

    def path(self, model: str, chat: bool, streamed: bool) -> str:
        """Where a request goes."""
        return "/api/chat"

    def body(self, model: str, length_field: str, request: Generate, variables: Mapping[str, Any]) -> dict[str, Any]:
        """What is sent. A prompt that does not fit is to be refused rather than cut."""
        extra = extras(request)
        options = {"num_predict": request.max_tokens, **drawn(request, "seed", "top_p", "top_k")}
        if self._window is not None:
            options["num_ctx"] = self._window
        if request.until:
            options["stop"] = list(request.until)
        options |= {key: value for key, value in extra.items() if key not in BESIDE}
        return {
            "model": model,
            "messages": [_turn(one) for one in turns(request)],
            "stream": False,
            "truncate": False,
            "options": options,
            **{key: value for key, value in extra.items() if key in BESIDE},
        }

    def begin(self, sent: float) -> Stream:
        """What takes a reply's lines."""
        return OllamaStream(sent)

    def said(self, reply: Any, chat: bool) -> Said:
        """What a reply says."""
        if isinstance(reply, Stream):
            return Said(reply.text or "", reply.thought, str(reply.finish or ""))
        if not isinstance(reply, Mapping) or not isinstance(reply.get("message"), Mapping):
            raise Unusable("the server's reply has no message")
        said, thought = _texts(reply)
        return Said(said or "", thought, str(reply.get("done_reason") or "stop"))

    def counted(self, reply: Any) -> Counted:
        """Tokens; those of a prompt that lies in the server's cache may be left out."""
        usage = reply.usage if isinstance(reply, Stream) else reply if isinstance(reply, Mapping) else {}
        return Counted(count(usage, "prompt_eval_count"), count(usage, "eval_count"))


def _texts(event: Mapping[str, Any]) -> tuple[str | None, str]:
    """What a message says and thinks."""
    message = event.get("message")
    if not isinstance(message, Mapping):
        return None, ""
    said, thought = message.get("content"), message.get("thinking")
    return said if isinstance(said, str) else None, thought if isinstance(thought, str) else ""


def _turn(message: Message) -> dict[str, Any]:
    """A turn; its images stand beside the text, where the API has no places for them."""
    if not message.images:
        return {"role": message.role, "content": message.content}
    text = "".join(part for part in parts_of(message) if isinstance(part, str))
    return {"role": message.role, "content": text, "images": [in_base64(one) for one in message.images]}
