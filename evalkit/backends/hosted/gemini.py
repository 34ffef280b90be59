"""Google's generateContent (ai.google.dev/api/generate-content, looked up in November 2026)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from evalkit.backends.openai.replies import Unusable, Withheld, count
from evalkit.backends.openai.streaming import Stream
from evalkit.backends.openai.wire import Counted, Said, drawn, extras, in_base64, parts, turns
from evalkit.contract.types import Generate, Image

FINISHES = {"STOP": "stop", "MAX_TOKENS": "length"}
WITHHELD = frozenset({"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "MODEL_ARMOR"})
MAX_STOPS = 5


class GeminiStream(Stream):
    """Each event is a reply of its own with the next piece; the last one says why it ended."""

    def __init__(self, sent: float) -> None:
        super().__init__(sent)
        self.blocked: str | None = None

    def take_event(self, event: Mapping[str, Any]) -> None:
        """One event."""
        self.blocked = _blocked(event) or self.blocked
        if self.blocked:
            self.finish = self.finish or "SAFETY"
        usage = event.get("usageMetadata")
        if isinstance(usage, Mapping):
            self.usage = {**self.usage, **usage}
        candidate = _candidate(event)
        said, thought = _texts(candidate)
        if said is not None or thought:
            self.piece(said, thought)
        self.finish = candidate.get("finishReason") or self.finish


class GeminiWire:
    """POST /models/MODEL:generateContent."""

    lengths: tuple[str, ...] = ("max_tokens",)
    can_stream = True
    streams: Mapping[str, Any] = MappingProxyType({})

    def path(self, model: str, chat: bool, streamed: bool) -> str:
        """Where a request goes."""
        where = f"/models/{quote(model, safe='')}"
        return f"{where}:streamGenerateContent?alt=sse" if streamed else f"{where}:generateContent"

    def body(self, model: str, length_field: str, request: Generate, variables: Mapping[str, Any]) -> dict[str, Any]:
        """What is sent: system turns stand apart from the conversation, whose other side is called "model"."""
        asked = turns(request)
        roles = {"assistant": "model"}
        sent: dict[str, Any] = {
            "contents": [
                {"role": roles.get(one.role, one.role), "parts": parts(one, _text_part, _image_part)}
                for one in asked
                if one.role != "system"
            ]
        }
        if system := [{"text": one.content} for one in asked if one.role == "system"]:
            sent["systemInstruction"] = {"parts": system}
        chosen = {"maxOutputTokens": request.max_tokens, **drawn(request, "seed", "topP", "topK")}
        if request.until:
            chosen["stopSequences"] = list(request.until[:MAX_STOPS])
        sent["generationConfig"] = {**chosen, **extras(request)}
        return sent

    def begin(self, sent: float) -> Stream:
        """What takes a reply's events."""
        return GeminiStream(sent)

    def said(self, reply: Any, chat: bool) -> Said:
        """What a reply says; a block by a safety filter withholds it."""
        if isinstance(reply, GeminiStream):
            text, thought, reason, blocked = reply.text, reply.thought, reply.finish, reply.blocked
        else:
            if not isinstance(reply, Mapping):
                raise Unusable("the server's reply has no candidates")
            candidate = _candidate(reply)
            text, thought = _texts(candidate)
            reason, blocked = candidate.get("finishReason"), _blocked(reply)
        if blocked:
            raise Withheld(f"the provider's filter refuses the prompt ({blocked})")
        if reason in WITHHELD:
            raise Withheld(f"the provider withheld the answer ({reason})")
        if text is None and reason not in FINISHES:
            raise Unusable(f"the server's reply has no text ({reason or 'no reason told'})")
        return Said(text or "", thought, FINISHES.get(str(reason), str(reason or "").lower()))

    def counted(self, reply: Any) -> Counted:
        """Tokens; thoughts are counted beside the candidates, and paid alike."""
        usage = (
            reply.usage
            if isinstance(reply, Stream)
            else reply.get("usageMetadata")
            if isinstance(reply, Mapping)
            else None
        )
        if not isinstance(usage, Mapping):
            return Counted()
        given = count(usage, "promptTokenCount")
        made, thought = count(usage, "candidatesTokenCount"), count(usage, "thoughtsTokenCount")
        # A blocked or cut reply leaves out what is nought.
        written = None if given is None else (made or 0) + (thought or 0)
        return Counted(given, written, count(usage, "cachedContentTokenCount"), thought)


def _candidate(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    candidates = reply.get("candidates")
    first = candidates[0] if isinstance(candidates, list) and candidates else None
    return first if isinstance(first, Mapping) else {}


def _blocked(reply: Mapping[str, Any]) -> str | None:
    """Why the prompt was refused; None: it was not."""
    feedback = reply.get("promptFeedback")
    reason = feedback.get("blockReason") if isinstance(feedback, Mapping) else None
    return str(reason)[:40] if reason and reason != "BLOCKED_REASON_UNSPECIFIED" else None


def _texts(candidate: Mapping[str, Any]) -> tuple[str | None, str]:
    """What a candidate says and thinks."""
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, Mapping) else None
    found = [one for one in parts or () if isinstance(one, Mapping) and isinstance(one.get("text"), str)]
    said = [one["text"] for one in found if not one.get("thought")]
    return "".join(said) if said else None, "".join(one["text"] for one in found if one.get("thought"))


def _text_part(text: str) -> dict[str, Any]:
    return {"text": text}


def _image_part(image: Image) -> dict[str, Any]:
    return {"inlineData": {"mimeType": image.media_type, "data": in_base64(image)}}
