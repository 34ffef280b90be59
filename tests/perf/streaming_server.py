"""A server that streams by a clock of its own: it moves on only when the client has looked at the clock, so that
measured times are exact on however slow a machine.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

pytest.importorskip("aiohttp", reason="needs the extra openai")


@dataclass
class SharedClock:
    """Seconds that only `move` adds to; `now` counts who looks."""

    at: float = 0.0
    looks: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def now(self) -> float:
        with self.changed:
            self.looks += 1
            self.changed.notify_all()
            return self.at

    def move(self, seconds: float) -> None:
        with self.changed:
            self.at += seconds

    def wait_for_looks(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.looks >= count, timeout=60), "the client never looked"


@dataclass
class Timing:
    """Seconds until the first piece, between pieces, and from the last one to the end; tokens that are told."""

    ttft: float
    gaps: tuple[float, ...]
    tail: float = 0.0
    prompt_tokens: int = 7
    cached_tokens: int | None = None
    tokens_a_piece: int = 1


class _Handler(BaseHTTPRequestHandler):
    clock: SharedClock
    timings: list[Timing]

    def log_message(self, format: str, *args: Any) -> None: ...

    def do_GET(self) -> None:
        self._begin("application/json")
        self.wfile.write(b'{"data": [{"id": "tiny"}]}')

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert asked["stream"] is True
        assert asked["stream_options"] == {"include_usage": True}
        timing, looks = self.timings.pop(0), self.clock.looks
        self._begin("text/event-stream")
        for number, delay in enumerate((timing.ttft, *timing.gaps), 1):
            self.clock.move(delay)
            self._event({"choices": [{"text": f" w{number}", "index": 0}]})
            self.clock.wait_for_looks(looks + number)
        self.clock.move(timing.tail)
        self._event({"choices": [{"text": "", "index": 0, "finish_reason": "length"}]})
        self._event({"choices": [], "usage": _usage(timing)})
        self.wfile.write(b"data: [DONE]\n\n")

    def _begin(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def _event(self, event: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        self.wfile.flush()


def _usage(timing: Timing) -> dict[str, Any]:
    made = (1 + len(timing.gaps)) * timing.tokens_a_piece
    details = {} if timing.cached_tokens is None else {"cached_tokens": timing.cached_tokens}
    return {
        "prompt_tokens": timing.prompt_tokens,
        "completion_tokens": made,
        **({"prompt_tokens_details": details} if details else {}),
    }


@contextmanager
def streaming(clock: SharedClock, timings: list[Timing]) -> Iterator[str]:
    """The URL of a server that answers its requests, one at a time, with ``timings``."""
    handler = type("Timed", (_Handler,), {"clock": clock, "timings": list(timings)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
