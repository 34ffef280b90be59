"""`evalkit bench --server`: what replies become, and the way through a real stream."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from evalkit.bench.server import Load, Reply, bench_server, summarize
from evalkit.contract.errors import UserError

SLOW = Reply((1.0, 1.5, 2.0), 2.1, 3)
QUICK = Reply((0.1, 0.2), 0.2, 2)


def test_latencies_by_vllms_definitions() -> None:
    found = summarize("u", "m", Load(), 4.0, [SLOW, QUICK])
    assert found.latencies["ttft"]["mean_s"] == pytest.approx(0.55)
    assert found.latencies["tpot"]["mean_s"] == pytest.approx((0.5 + 0.1) / 2)
    assert found.latencies["itl"]["n"] == 3
    assert found.latencies["e2e"]["mean_s"] == pytest.approx(1.15)
    assert found.rates["output_tokens_per_s"] == 5 / 4


def test_goodput_counts_what_met_every_target_and_failures_never_do() -> None:
    failed = Reply(error="HTTP 500")
    found = summarize("u", "m", Load(ttft_target=0.5, tpot_target=1.0), 2.0, [SLOW, QUICK, failed, failed])
    assert found.rates["goodput_requests_per_s"] == 0.5
    assert found.rates["share_within_targets"] == 0.25
    assert found.errors == {"HTTP 500": 2}
    with pytest.raises(UserError, match="answered none of 1 requests: HTTP 500"):
        summarize("u", "m", Load(), 1.0, [failed])


class Streaming(BaseHTTPRequestHandler):
    """Five pieces a request, a broken line among them; each third request fails."""

    seen = 0

    def do_GET(self) -> None:
        self._send(200, json.dumps({"data": [{"id": "tiny"}]}).encode())

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert asked["model"] == "tiny"
        if asked["prompt"].startswith("2 "):
            self._send(503, b"")
            return
        lines = [f"data: {json.dumps({'choices': [{'text': f' t{i}'}]})}" for i in range(5)]
        lines += ["data: {broken", f"data: {json.dumps({'choices': [], 'usage': {'completion_tokens': 5}})}"]
        self._send(200, "\n\n".join([*lines, "data: [DONE]", ""]).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Silence."""


@pytest.fixture
def server() -> Iterator[str]:
    serving = ThreadingHTTPServer(("127.0.0.1", 0), Streaming)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}/v1"
    serving.shutdown()
    serving.server_close()


def test_a_server_is_measured_and_its_failures_are_counted(server: str) -> None:
    pytest.importorskip("httpx2", reason="bench --server needs the package httpx2")
    found = bench_server(server, None, Load(requests=6, rate=200.0, concurrency=2, max_tokens=5))
    assert found.model == "tiny"
    assert [reply.tokens for reply in found.replies if reply.error is None] == [5] * 5
    assert found.errors == {"HTTP 503": 1}
    assert found.latencies["itl"]["n"] == 5 * 4
    assert len(json.loads(found.as_json())["replies"]) == 6


def test_no_server_is_one_line() -> None:
    pytest.importorskip("httpx2", reason="bench --server needs the package httpx2")
    with pytest.raises(UserError, match="does not list its models"):
        bench_server("http://127.0.0.1:9/v1", None, Load(requests=1))
