"""Amazon Bedrock's Converse, opened by an API key (docs.aws.amazon.com/bedrock, API_runtime_Converse and api-keys-use,
looked up in November 2026). Its streams are a binary format of Amazon's; replies are asked for whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from evalkit.backends.openai.replies import Unusable, Withheld, count
from evalkit.backends.openai.streaming import Stream
from evalkit.backends.openai.wire import Counted, Said, drawn, extras, in_base64, parts, turns
from evalkit.contract.types import Generate, Image

FINISHES = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length"}
WITHHELD = frozenset({"guardrail_intervened", "content_filtered"})
MAX_STOPS = 4


class BedrockWire:
    """POST /model/MODEL/converse. Settings beyond Converse's own go to the model as they are."""

    lengths: tuple[str, ...] = ("max_tokens",)
    can_stream = False
    streams: Mapping[str, Any] = MappingProxyType({})

    def path(self, model: str, chat: bool, streamed: bool) -> str:
        """Where a request goes."""
        return f"/model/{quote(model, safe='')}/converse"

    def body(self, model: str, length_field: str, request: Generate, variables: Mapping[str, Any]) -> dict[str, Any]:
        """What is sent."""
        asked = turns(request)
        chosen = {"maxTokens": request.max_tokens, **drawn(request, None, "topP", None)}
        if stops := [one for one in request.until if one.strip()][:MAX_STOPS]:
            chosen["stopSequences"] = stops
        sent: dict[str, Any] = {
            "messages": [
                {"role": one.role, "content": parts(one, _text_part, _image_part)}
                for one in asked
                if one.role != "system"
            ],
            "inferenceConfig": chosen,
        }
        if system := [{"text": one.content} for one in asked if one.role == "system"]:
            sent["system"] = system
        if extra := extras(request):
            sent["additionalModelRequestFields"] = extra
        return sent

    def begin(self, sent: float) -> Stream:
        """Never asked for."""
        return Stream(sent)

    def said(self, reply: Any, chat: bool) -> Said:
        """What a reply says."""
        output = reply.get("output") if isinstance(reply, Mapping) else None
        message = output.get("message") if isinstance(output, Mapping) else None
        blocks = message.get("content") if isinstance(message, Mapping) else None
        if not isinstance(blocks, list):
            raise Unusable("the server's reply has no message")
        reason = reply.get("stopReason")
        if reason in WITHHELD:
            raise Withheld(f"the provider withheld the answer ({reason})")
        found = [block for block in blocks if isinstance(block, Mapping)]
        text = "".join(block["text"] for block in found if isinstance(block.get("text"), str))
        return Said(text, "".join(map(_thought, found)), FINISHES.get(str(reason), str(reason or "")))

    def counted(self, reply: Any) -> Counted:
        """Tokens: what came from the cache is counted beside the prompt's."""
        usage = reply.get("usage") if isinstance(reply, Mapping) else None
        if not isinstance(usage, Mapping):
            return Counted()
        fresh, made = count(usage, "inputTokens"), count(usage, "outputTokens")
        read, written = (count(usage, f"cache{what}InputTokens") or 0 for what in ("Read", "Write"))
        return Counted(None if fresh is None else fresh + read + written, made, read, stored=written)


def _thought(block: Mapping[str, Any]) -> str:
    inner = block.get("reasoningContent")
    text = inner.get("reasoningText") if isinstance(inner, Mapping) else None
    found = text.get("text") if isinstance(text, Mapping) else None
    return found if isinstance(found, str) else ""


def _text_part(text: str) -> dict[str, Any]:
    return {"text": text}


def _image_part(image: Image) -> dict[str, Any]:
    return {"image": {"format": image.media_type.partition("/")[2], "source": {"bytes": in_base64(image)}}}
