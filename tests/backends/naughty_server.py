"""A server of our own that misbehaves on command, and one that echoes log-probabilities as vLLM does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

pytest.importorskip("aiohttp", reason="needs the extra openai")

Reply = tuple[int, dict[str, str], bytes] | Callable[["Handler"], None]


@dataclass
class Script:
    """What the server does: ``replies`` one after another for POSTs (the last one again and again)."""

    replies: Sequence[Reply | Callable[[dict[str, Any]], Reply]]
    models: Any = field(default_factory=lambda: {"data": [{"id": "tiny"}]})
    seen: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def log_message(self, format: str, *args: Any) -> None: ...

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            body = self.script.models
            self.answer(200, {}, body if isinstance(body, bytes) else json.dumps(body).encode())
        else:
            self.answer(404, {}, b"{}")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        script = self.script
        script.seen.append({"path": self.path, **body})
        script.headers.append(dict(self.headers))
        reply: Any = script.replies[min(len(script.seen), len(script.replies)) - 1]
        if isinstance(reply, tuple):
            self.answer(*reply)
        else:
            made = reply(self) if reply.__code__.co_varnames[:1] == ("handler",) else reply(body)
            if made is not None:
                self.answer(*made)

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    request_queue_size = 128  # connections that may wait to be accepted: the client opens many at once


@contextmanager
def serving(script: Script) -> Iterator[str]:
    """The URL of a server that follows ``script``."""
    handler = type("Scripted", (Handler,), {"script": script})
    server = Server(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        script.release.set()
        server.shutdown()
        server.server_close()


def text(content: str, finish: str = "stop") -> Reply:
    """A completion's reply."""
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    return 200, {}, json.dumps({"choices": [{"text": content, "finish_reason": finish}], "usage": usage}).encode()


def chat(content: str) -> Reply:
    """A chat completion's reply."""
    return 200, {}, json.dumps({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}).encode()


def failure(status: int, message: str = "no", **headers: str) -> Reply:
    """An error as OpenAI words it."""
    return (
        status,
        {k.replace("_", "-"): v for k, v in headers.items()},
        json.dumps({"error": {"message": message}}).encode(),
    )


def half(handler: Handler) -> None:
    """Announces more than it sends, then hangs up."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [{"te')
    handler.wfile.flush()
    handler.close_connection = True


def hang(handler: Handler) -> None:
    """Says nothing until the test is over."""
    handler.script.release.wait(20)


def echo(body: dict[str, Any]) -> Reply:
    """Log-probabilities of the prompt as vLLM gives them: words are tokens, each worth minus its length; words of
    more than five letters are not the arg-max.
    """
    words = [" " + word for word in body["prompt"].split(" ")]
    words[0] = words[0][1:]
    tokens = [*words, " next"]
    values = [None, *(-float(len(token)) for token in tokens[1:])]
    tops = [
        None if v is None else {token: v} | ({" other": v + 1} if len(token) > 6 else {})
        for token, v in zip(tokens, values, strict=True)
    ]
    logprobs = {"tokens": tokens, "token_logprobs": values, "top_logprobs": tops}
    return 200, {}, json.dumps({"choices": [{"text": "".join(tokens), "logprobs": logprobs}]}).encode()


def drip(handler: Handler) -> None:
    """Sends one header line every tenth of a second, without end."""
    drop_by_drop(handler, b"X-Wait: 1\r\n", b"HTTP/1.1 200 OK\r\n")


def processing(handler: Handler) -> None:
    """Says that it is at work, again and again, and nothing else."""
    drop_by_drop(handler, b"HTTP/1.1 102 Processing\r\n\r\n")


def trickle(handler: Handler) -> None:
    """Sends a body byte by byte."""
    drop_by_drop(handler, b" ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")


def drop_by_drop(handler: Handler, drop: bytes, before: bytes = b"") -> None:
    handler.close_connection = True
    try:
        handler.wfile.write(before)
        while not handler.script.release.wait(0.1):
            handler.wfile.write(drop)
            handler.wfile.flush()
    except OSError:
        pass  # the client has hung up


def spelled(spell: Callable[[str], list[str]], first: Sequence[str] = ()) -> Callable[[dict[str, Any]], Reply]:
    """An echo whose words are spelled by ``spell`` as one or more tokens, each worth minus one, behind ``first``."""

    def reply(body: dict[str, Any]) -> Reply:
        words = [" " + word for word in body["prompt"].split(" ")]
        words[0] = words[0][1:]
        tokens = [*first, *(token for word in words for token in spell(word)), " next"]
        values = [None, *([-1.0] * (len(tokens) - 1))]
        report = {"tokens": tokens, "token_logprobs": values, "top_logprobs": [None] * len(tokens)}
        return 200, {}, json.dumps({"choices": [{"index": 0, "text": "", "logprobs": report}]}).encode()

    return reply
