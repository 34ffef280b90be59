"""OpenAI's responses (platform.openai.com/docs/api-reference/responses, looked up in November 2026): the API of models
that have no chat completions. It takes no stop strings; they are cut here. Nothing is stored there (``store: false``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from evalkit.backends.openai.replies import Unusable, Withheld, count
from evalkit.backends.openai.streaming import Stream
from evalkit.backends.openai.wire import Counted, Said, content, drawn, extras, stored, turns
from evalkit.contract.types import Generate, Image
from evalkit.store.pictures import data_url

ONLY = re.compile(r"(?:gpt-5[\w.]*|o1|o3)-pro|.*codex|.*deep-research|computer-use")
"""How names begin of models that have no chat completions."""


class ResponsesStream(Stream):
    """Typed events; the last one holds the whole response."""

    def __init__(self, sent: float) -> None:
        super().__init__(sent)
        self.whole: Mapping[str, Any] = {}

    def take_event(self, event: Mapping[str, Any]) -> None:
        """One event."""
        kind, delta = str(event.get("type")), event.get("delta")
        if kind == "response.output_text.delta" and isinstance(delta, str):
            self.piece(delta, "")
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            response = event.get("response")
            if isinstance(response, Mapping):
                self.told_of_error(response)
                self.whole = response
                self.finish = response.get("status") or "completed"
                usage = response.get("usage")
                self.usage = usage if isinstance(usage, Mapping) else {}


class ResponsesWire:
    """POST /responses."""

    lengths: tuple[str, ...] = ("max_output_tokens",)
    can_stream = True
    streams: Mapping[str, Any] = MappingProxyType({"stream": True})

    def path(self, model: str, chat: bool, streamed: bool) -> str:
        """Where a request goes."""
        return "/responses"

    def body(self, model: str, length_field: str, request: Generate, variables: Mapping[str, Any]) -> dict[str, Any]:
        """What is sent."""
        extra = extras(request)
        if "reasoning_effort" in extra:  # chat completions' name for it
            extra["reasoning"] = {"effort": extra.pop("reasoning_effort")}
        return {
            "model": model,
            "input": [{"role": one.role, "content": content(one, _text_part, _image_part)} for one in turns(request)],
            "max_output_tokens": request.max_tokens,
            "store": False,
            **drawn(request, None, "top_p", None),
            **extra,
        }

    def begin(self, sent: float) -> Stream:
        """What takes a reply's events."""
        return ResponsesStream(sent)

    def said(self, reply: Any, chat: bool) -> Said:
        """What a reply says."""
        whole = reply.whole if isinstance(reply, ResponsesStream) else reply
        output = whole.get("output") if isinstance(whole, Mapping) else None
        if not isinstance(output, list):
            raise Unusable("the server's reply has no output")
        items = [one for one in output if isinstance(one, Mapping)]
        parts = [
            part
            for item in items
            if item.get("type") == "message" and isinstance(item.get("content"), list)
            for part in item["content"]
            if isinstance(part, Mapping)
        ]
        text = "".join(str(part.get("text") or part.get("refusal") or "") for part in parts)
        details = whole.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, Mapping) else None
        if reason == "content_filter" and not text:
            raise Withheld("the provider withheld the answer (content_filter)")
        finish = {"max_output_tokens": "length"}.get(str(reason), str(reason)) if reason else "stop"
        return Said(text, "", finish)

    def counted(self, reply: Any) -> Counted:
        """Tokens; thoughts are among those written."""
        usage = reply.usage if isinstance(reply, Stream) else reply.get("usage") if isinstance(reply, Mapping) else None
        if not isinstance(usage, Mapping):
            return Counted()
        read, made = usage.get("input_tokens_details"), usage.get("output_tokens_details")
        return Counted(
            count(usage, "input_tokens"),
            count(usage, "output_tokens"),
            count(read, "cached_tokens") if isinstance(read, Mapping) else None,
            count(made, "reasoning_tokens") if isinstance(made, Mapping) else None,
            stored=stored(usage, "input_tokens_details"),
        )


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "input_text", "text": text}


def _image_part(image: Image) -> dict[str, Any]:
    return {"type": "input_image", "image_url": data_url(image)}
