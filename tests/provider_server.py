"""A server of our own that speaks as the providers do: OpenAI's chat completions and responses, Anthropic's messages,
Google's generateContent, Ollama's chat, Amazon Bedrock's Converse, each under a path of its own.

It is strict: a request with a field that the protocol lacks, a wrong header or a wrong key is refused in the provider's
words. Tokens are words. Events, fields and errors follow the providers' references (looked up in November 2026), and
scripts/provider_clients.py holds the server against their own client libraries.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

KEY = "provider-key-0123456789abcdef"

Events = list[tuple[str, Any]]
Fault = tuple[int, Mapping[str, str], Any]


@dataclass
class Reply:
    """What the model says. ``thought``: told apart where the protocol can; ``hidden``: tokens thought and not told."""

    text: str = "Paris"
    finish: str = "stop"
    """ "stop", "length", "filtered" (the answer is withheld) or "blocked" (the prompt is)."""
    thought: str = ""
    hidden: int = 0
    cached: int = 0


@dataclass
class Provider:
    """The models, and what they do: ``faults`` are answered first, one a request."""

    answer: Callable[[str], Reply] = lambda prompt: Reply()
    faults: list[Fault] = field(default_factory=list)
    refuses: Mapping[str, str] = field(default_factory=dict)
    """Parameters that are refused, with the words."""
    headers: Mapping[str, str] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    sent: list[Mapping[str, str]] = field(default_factory=list)
    gate: threading.Event | None = None
    """Requests wait for it."""
    pictures: list[tuple[str, bytes]] = field(default_factory=list)
    """Media type and bytes of every picture that came, in order."""

    def text(self, kind: str, part: Any) -> str:
        """A part of a turn as text; a picture in the protocol's words is noted, and stands there as "[picture N]"."""
        if isinstance(part, str):
            return part
        if isinstance(part, list):
            return "".join(self.text(kind, one) for one in part)
        if kind == "openai" and part["type"] == "image_url":
            return self._picture(*_of_url(part["image_url"]["url"]))
        if kind == "openai" and part["type"] == "input_image":
            return self._picture(*_of_url(part["image_url"]))
        if kind == "anthropic" and part["type"] == "image":
            assert part["source"]["type"] == "base64"
            return self._picture(part["source"]["media_type"], part["source"]["data"])
        if kind == "gemini" and "inlineData" in part:
            return self._picture(part["inlineData"]["mimeType"], part["inlineData"]["data"])
        if kind == "bedrock" and "image" in part:
            return self._picture(f"image/{part['image']['format']}", part["image"]["source"]["bytes"])
        return str(part["text"])

    def _picture(self, media_type: str, data: str) -> str:
        self.pictures.append((media_type, base64.b64decode(data, validate=True)))
        return f"[picture {len(self.pictures)}]"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """Of every request for text."""
        return [body for _, body in self.seen]


@contextmanager
def serving(provider: Provider) -> Iterator[str]:
    """The root address of a server."""
    handler = type("Speaks", (Handler,), {"provider": provider})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        if provider.gate is not None:
            provider.gate.set()
        server.shutdown()
        server.server_close()


MODELS = ("small-1", "small-1-mini", "thinks-1", "thinks-1-pro")


def _of_url(url: str) -> tuple[str, str]:
    head, _, data = url.partition(";base64,")
    return head.removeprefix("data:"), data


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    provider: Provider

    def log_message(self, format: str, *args: Any) -> None: ...

    def do_GET(self) -> None:
        kind, _, path = self.path.lstrip("/").partition("/")
        route = urlsplit(path).path
        if (refusal := self.unauthorised(kind)) is not None:
            self.whole(*refusal)
        elif (kind, route) in (("openai", "v1/models"), ("anthropic", "v1/models")):
            rows = [{"id": name, "object": "model", "type": "model", "created": 1} for name in MODELS]
            self.whole(200, {}, {"object": "list", "data": rows, "has_more": False})
        elif kind == "gemini" and route in ("v1beta/models", "v1/models"):
            rows = [{"name": f"models/{name}", "inputTokenLimit": 4096, "outputTokenLimit": 512} for name in MODELS]
            self.whole(200, {}, {"models": rows})
        elif (kind, route) == ("ollama", "api/tags"):
            rows = [{"name": f"{name}:latest", "model": f"{name}:latest", "size": 1} for name in MODELS]
            self.whole(200, {}, {"models": rows})
        else:
            self.whole(404, {}, {"error": {"message": f"no such path: {self.path}", "code": 404}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        kind, _, path = self.path.lstrip("/").partition("/")
        provider = self.provider
        if (kind, path) == ("ollama", "api/show"):
            self.whole(200, {}, {"model_info": {"tiny.context_length": 2048}, "details": {"family": "tiny"}})
            return
        provider.seen.append((self.path, body))
        provider.sent.append(dict(self.headers))
        if provider.gate is not None:
            provider.gate.wait(20)
        refusal = self.unauthorised(kind) or (provider.faults.pop(0) if provider.faults else None)
        refusal = refusal or self.misasked(kind, path, body)
        if refusal is not None:
            self.whole(*refusal)
            return
        speak: Callable[[str, dict[str, Any]], None] = getattr(self, f"speak_{kind}")
        speak(path, body)

    # -- refusals -----------------------------------------------------------------------------------------------------

    def unauthorised(self, kind: str) -> Fault | None:
        bearer = self.headers.get("api-key") or (self.headers.get("authorization") or "").removeprefix("Bearer ")
        carried = {
            "anthropic": self.headers.get("x-api-key") or bearer,
            "gemini": self.headers.get("x-goog-api-key"),
            "ollama": KEY,
        }.get(kind, bearer)
        if kind == "anthropic" and self.headers.get("anthropic-version") not in ("2023-06-01", "2026-10-21"):
            return error(kind, 400, "invalid_request_error", "anthropic-version: header is required")
        if carried == KEY or (kind == "bedrock" and carried.startswith(f"AWS4-HMAC-SHA256 Credential={KEY}/")):
            return None  # Amazon's own client signs, for it sends no bare key to an address without TLS
        if kind == "gemini":
            return error(kind, 400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.")
        return error(kind, 401, "authentication_error", f"Incorrect API key provided: {carried}")

    def misasked(self, kind: str, path: str, body: Mapping[str, Any]) -> Fault | None:
        inner = next((body[name] for name in ("generationConfig", "options", "inferenceConfig") if name in body), {})
        for name, words in self.provider.refuses.items():
            if name in body or name in inner:
                return error(kind, 400, "invalid_request_error", words, param=name)
        allowed = FIELDS["responses" if path.endswith("responses") else kind]
        if self.headers.get("anthropic-version") == "2026-10-21":  # this version takes no settings of sampling
            allowed = allowed - {"temperature", "top_p", "top_k"}
        if unknown := sorted((set(body) | set(inner)) - allowed):
            return error(kind, 400, "invalid_request_error", f"{unknown[0]}: Extra inputs are not permitted")
        for turn in body.get("messages") or body.get("contents") or ():
            if turn["role"] not in (
                "user",
                "assistant",
                "model",
                *(["system"] if kind in ("openai", "ollama") else []),
            ):
                return error(kind, 400, "invalid_request_error", f"messages: Unexpected role {turn['role']!r}")
        for stop in body.get("stop_sequences") or ():
            if not stop.strip():
                words = "stop_sequences: each stop sequence must contain non-whitespace"
                return error(kind, 400, "invalid_request_error", words)
        return None

    # -- protocols ----------------------------------------------------------------------------------------------------

    def said(self, prompt: str, most: int, stops: list[str]) -> tuple[Reply, int, int]:
        """The reply within its limits, and the tokens read and written."""
        reply = self.provider.answer(prompt)
        room = max(0, most - reply.hidden - len(reply.thought.split()))
        words = reply.text.split(" ")
        text, finish = (" ".join(words[:room]), "length") if len(words) > room else (reply.text, reply.finish)
        for stop in stops:
            if stop in text:
                text, finish = text.split(stop)[0], "stop"
        made = len(text.split()) + len(reply.thought.split()) + reply.hidden
        return (
            Reply(text, finish, reply.thought, reply.hidden, reply.cached),
            len(prompt.split()),
            made,
        )

    def speak_openai(self, path: str, body: dict[str, Any]) -> None:
        if path.endswith("responses"):
            self.speak_responses(body)
            return
        prompt = "\n".join(self.provider.text("openai", one["content"]) for one in body["messages"])
        most = body.get("max_completion_tokens") or body.get("max_tokens") or 1 << 20
        reply, read, made = self.said(prompt, most, body.get("stop") or [])
        usage = {
            "prompt_tokens": read,
            "completion_tokens": made,
            "total_tokens": read + made,
            "prompt_tokens_details": {"cached_tokens": reply.cached},
            "completion_tokens_details": {"reasoning_tokens": reply.hidden},
        }
        finish = {"filtered": "content_filter"}.get(reply.finish, reply.finish)
        text = None if finish == "content_filter" else reply.text
        head = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
        if not body.get("stream"):
            message = {"role": "assistant", "content": text, "refusal": None}
            choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
            self.whole(200, {}, {**head, "object": "chat.completion", "choices": [choice], "usage": usage})
            return
        parts: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        parts += [{"content": piece} for piece in pieces(text or "")]
        chunk = {**head, "object": "chat.completion.chunk"}
        events: Events = [
            ("", {**chunk, "choices": [{"index": 0, "delta": part, "finish_reason": None}]}) for part in parts
        ]
        if text is None:
            events = []
        events.append(("", {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}))
        if (body.get("stream_options") or {}).get("include_usage"):
            events.append(("", {**chunk, "choices": [], "usage": usage}))
        self.stream(events, b"data: [DONE]\n\n")

    def speak_responses(self, body: dict[str, Any]) -> None:
        prompt = "\n".join(self.provider.text("openai", one["content"]) for one in body["input"])
        reply, read, made = self.said(prompt, body.get("max_output_tokens") or 1 << 20, [])
        cut = {"length": "max_output_tokens", "filtered": "content_filter"}.get(reply.finish)
        part = {"type": "output_text", "text": reply.text, "annotations": []}
        message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
        output: list[dict[str, Any]] = [{"type": "reasoning", "id": "rs_1", "summary": []}]
        if reply.finish != "filtered":
            output.append(message)
        whole = {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "model": body["model"],
            "status": "incomplete" if cut else "completed",
            "error": None,
            "incomplete_details": {"reason": cut} if cut else None,
            "output": output,
            "parallel_tool_calls": False,
            "tool_choice": "auto",
            "tools": [],
            "usage": {
                "input_tokens": read,
                "input_tokens_details": {"cached_tokens": reply.cached},
                "output_tokens": made,
                "output_tokens_details": {"reasoning_tokens": reply.hidden},
                "total_tokens": read + made,
            },
        }
        if not body.get("stream"):
            self.whole(200, {}, whole)
            return
        begun = {**whole, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
        parts: list[dict[str, Any]] = [{"type": "response.created", "response": begun}]
        where = {"item_id": "msg_1", "output_index": 1, "content_index": 0}
        blank = {**message, "status": "in_progress", "content": []}
        parts.append({"type": "response.output_item.added", "output_index": 0, "item": output[0]})
        parts.append({"type": "response.output_item.done", "output_index": 0, "item": output[0]})
        if reply.finish != "filtered":
            parts.append({"type": "response.output_item.added", "output_index": 1, "item": blank})
            parts.append({"type": "response.content_part.added", "part": {**part, "text": ""}, **where})
        parts += [
            {"type": "response.output_text.delta", "delta": piece, "logprobs": [], **where}
            for piece in pieces(reply.text if reply.finish != "filtered" else "")
        ]
        parts.append({"type": "response.incomplete" if cut else "response.completed", "response": whole})
        self.stream([(str(one["type"]), {**one, "sequence_number": at}) for at, one in enumerate(parts)])

    def speak_anthropic(self, path: str, body: dict[str, Any]) -> None:
        turns = [*filter(None, [body.get("system")]), *(one["content"] for one in body["messages"])]
        prompt = "\n".join(self.provider.text("anthropic", one) for one in turns)
        reply, read, made = self.said(prompt, body["max_tokens"], body.get("stop_sequences") or [])
        reason = {"stop": "end_turn", "length": "max_tokens", "filtered": "refusal"}[reply.finish]
        usage = {
            "input_tokens": read - reply.cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": reply.cached,
        }
        head = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"]}
        blocks: list[dict[str, Any]] = []
        if reply.thought:
            blocks.append({"type": "thinking", "thinking": reply.thought, "signature": "c2ln"})
        if reply.finish != "filtered":
            blocks.append({"type": "text", "text": reply.text})
        thinking = reply.hidden + len(reply.thought.split())
        written = {"output_tokens": made, "output_tokens_details": {"thinking_tokens": thinking}}
        ended = {"stop_reason": reason, "stop_sequence": None}
        if not body.get("stream"):
            self.whole(200, {}, {**head, "content": blocks, **ended, "usage": {**usage, **written}})
            return
        begun = {**head, "content": [], "stop_reason": None, "stop_sequence": None}
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": {**begun, "usage": {**usage, "output_tokens": 1}}},
            {"type": "ping"},
        ]
        for index, block in enumerate(blocks):
            name = block["type"]
            empty = {**block, name: "", **({"signature": ""} if name == "thinking" else {})}
            events.append({"type": "content_block_start", "index": index, "content_block": empty})
            for piece in pieces(block[name]):
                delta = {"type": f"{name}_delta", name: piece}
                events.append({"type": "content_block_delta", "index": index, "delta": delta})
            events.append({"type": "content_block_stop", "index": index})
        events.append({"type": "message_delta", "delta": ended, "usage": written})
        events.append({"type": "message_stop"})
        self.stream([(str(one["type"]), one) for one in events])

    def speak_gemini(self, path: str, body: dict[str, Any]) -> None:
        turns = [*filter(None, [body.get("systemInstruction")]), *body["contents"]]
        prompt = "\n".join(self.provider.text("gemini", turn["parts"]) for turn in turns)
        chosen = body.get("generationConfig") or {}
        most, stops = chosen.get("maxOutputTokens") or 1 << 20, chosen.get("stopSequences") or []
        reply, read, made = self.said(prompt, most, stops)
        thought = reply.hidden + len(reply.thought.split())
        usage = {"promptTokenCount": read, "candidatesTokenCount": made - thought, "totalTokenCount": read + made}
        if thought:
            usage["thoughtsTokenCount"] = thought
        if reply.cached:
            usage["cachedContentTokenCount"] = reply.cached
        last = {"usageMetadata": usage, "modelVersion": unquote(path).rpartition("/")[2].partition(":")[0]}
        if reply.finish == "blocked":
            found: list[Any] = [{"promptFeedback": {"blockReason": "SAFETY"}, **last}]
        elif reply.finish == "filtered":
            found = [{"candidates": [{"finishReason": "SAFETY", "index": 0}], **last}]
        else:
            reason = {"stop": "STOP", "length": "MAX_TOKENS"}[reply.finish]
            parts: list[dict[str, Any]] = [{"text": reply.thought, "thought": True}] if reply.thought else []
            parts += [{"text": piece} for piece in pieces(reply.text)]
            found = [{"candidates": [{"content": {"role": "model", "parts": [one]}, "index": 0}]} for one in parts]
            end = {"candidates": [{"content": {"role": "model"}, "finishReason": reason, "index": 0}], **last}
            found.append(end)
            if ":stream" not in path:
                end["candidates"][0]["content"]["parts"] = parts
                found = [end]
        if ":stream" in path:
            self.stream([("", one) for one in found])
        else:
            self.whole(200, {}, found[-1])

    def speak_ollama(self, path: str, body: dict[str, Any]) -> None:
        for one in body["messages"]:
            self.provider.pictures += [("", base64.b64decode(data)) for data in one.get("images", ())]
        prompt = "\n".join(one["content"] for one in body["messages"])
        options = body.get("options") or {}
        reply, read, made = self.said(prompt, options.get("num_predict") or 1 << 20, options.get("stop") or [])
        if read > options.get("num_ctx", 4096) and body.get("truncate") is False:
            self.whole(400, {}, {"error": "the input length exceeds the context length"})
            return
        head = {"model": body["model"], "created_at": "2026-11-01T00:00:00Z"}
        end = {"done": True, "done_reason": reply.finish, "total_duration": 1, "load_duration": 1}
        end |= {"prompt_eval_count": read, "prompt_eval_duration": 1, "eval_count": made, "eval_duration": 1}
        thought = {"thinking": reply.thought} if reply.thought else {}
        if body.get("stream") is False:
            self.whole(200, {}, {**head, "message": {"role": "assistant", "content": reply.text, **thought}, **end})
            return
        lines = [{"message": {"role": "assistant", "content": "", **thought}, "done": False}] if thought else []
        lines += [{"message": {"role": "assistant", "content": piece}, "done": False} for piece in pieces(reply.text)]
        lines.append({"message": {"role": "assistant", "content": ""}, **end})
        self.chunks("application/x-ndjson", [json.dumps({**head, **line}).encode() + b"\n" for line in lines])

    def speak_bedrock(self, path: str, body: dict[str, Any]) -> None:
        turns = [body.get("system") or [], *(one["content"] for one in body["messages"])]
        chosen = body.get("inferenceConfig") or {}
        most, stops = chosen.get("maxTokens") or 1 << 20, chosen.get("stopSequences") or []
        reply, read, made = self.said(
            "\n".join(self.provider.text("bedrock", one) for one in turns if one), most, stops
        )
        reason = {"stop": "end_turn", "length": "max_tokens", "filtered": "content_filtered"}[reply.finish]
        usage = {"inputTokens": read, "outputTokens": made, "totalTokens": read + made}
        message = {"role": "assistant", "content": [{"text": reply.text}]}
        self.whole(
            200,
            {},
            {"output": {"message": message}, "stopReason": reason, "usage": usage, "metrics": {"latencyMs": 1}},
        )

    # -- bytes --------------------------------------------------------------------------------------------------------

    def whole(self, status: int, headers: Mapping[str, str], body: Any) -> None:
        if isinstance(body, list):  # events of a stream that breaks off with an error
            self.stream(body)
            return
        content = json.dumps(body).encode()
        self.send_response(status)
        more = {"Content-Type": "application/json", "Content-Length": str(len(content))}
        for name, value in {**more, **self.provider.headers, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def stream(self, events: Events, last: bytes = b"") -> None:
        lines = [(f"event: {kind}\n" if kind else "") + f"data: {json.dumps(event)}\n\n" for kind, event in events]
        self.chunks("text/event-stream", [line.encode() for line in lines] + ([last] if last else []))

    def chunks(self, kind: str, parts: list[bytes]) -> None:
        self.send_response(200)
        for name, value in {"Content-Type": kind, "Transfer-Encoding": "chunked", **self.provider.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        for part in [*parts, b""]:
            self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")


FIELDS = {
    "openai": {
        *("model", "messages", "max_tokens", "max_completion_tokens", "stop", "temperature", "top_p", "seed", "stream"),
        *("stream_options", "reasoning_effort", "presence_penalty", "frequency_penalty"),
    },
    "responses": {
        *("model", "input", "max_output_tokens", "temperature", "top_p", "stream", "store", "reasoning"),
    },
    "anthropic": {
        *("model", "messages", "system", "max_tokens", "stop_sequences", "temperature", "top_p", "top_k", "stream"),
        "thinking",
    },
    "gemini": {
        *("contents", "systemInstruction", "generationConfig", "maxOutputTokens", "temperature", "topP", "topK"),
        *("seed", "stopSequences", "thinkingConfig"),
    },
    "ollama": {
        *("model", "messages", "stream", "options", "truncate", "think", "num_predict", "num_ctx", "temperature"),
        *("top_p", "top_k", "seed", "stop", "keep_alive", "tools", "format"),
    },
    "bedrock": {
        *("messages", "system", "inferenceConfig", "maxTokens", "temperature", "topP", "stopSequences"),
        "additionalModelRequestFields",
    },
}
"""What each protocol takes of what a test sends, a generation's settings further in included."""


def error(kind: str, status: int, name: str, words: str, param: str | None = None, **headers: str) -> Fault:
    """An error in a provider's words."""
    found: dict[str, Any] = {
        "openai": {"error": {"message": words, "type": name, "param": param, "code": name}},
        "anthropic": {"type": "error", "error": {"type": name, "message": words}, "request_id": "req_1"},
        "gemini": {"error": {"code": status, "message": words, "status": name}},
        "ollama": {"error": words},
        "bedrock": {"message": words},
    }[kind]
    return status, {key.replace("_", "-"): value for key, value in headers.items()}, found


def pieces(text: str) -> list[str]:
    """A text in pieces of a word."""
    return [piece for piece in text.replace(" ", "\0 ").split("\0") if piece]
