"""Batches of OpenAI and of Anthropic on the server that speaks as they do: strict about every line, and answered by the
same words as single requests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from provider_server import Handler, Provider


@dataclass
class Batches(Provider):
    """``looks``: how often a batch is looked at before it has ended; ``ends``: the word that it ends by at OpenAI."""

    looks: int = 2
    ends: str = "completed"
    files: dict[str, list[Any]] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    waiting: Event = field(default_factory=Event)
    """Set once a batch has been looked at."""
    held: Event | None = None
    """No batch ends before it is set."""


class BatchHandler(Handler):
    provider: Batches

    def do_GET(self) -> None:
        kind, _, path = self.path.lstrip("/").partition("/")
        if self.unauthorised(kind) is None:
            if found := re.fullmatch(r"v1/(messages/)?batches/(\w+)", path):
                self.look(kind, found[2])
                return
            if found := re.fullmatch(r"v1/files/([\w-]+)/content", path):
                self.lines(self.provider.files.get(found[1]))
                return
            if found := re.fullmatch(r"v1/messages/batches/(\w+)/results", path):
                self.lines(self.provider.files.get(found[1]))
                return
        super().do_GET()

    def do_POST(self) -> None:
        kind, _, path = self.path.lstrip("/").partition("/")
        if path not in ("v1/files", "v1/batches", "v1/messages/batches") or self.unauthorised(kind) is not None:
            super().do_POST()
            return
        content = self.rfile.read(int(self.headers["content-length"]))
        if path == "v1/files":
            self.take_file(content)
            return
        body = json.loads(content)
        if path == "v1/batches":
            assert set(body) == {"input_file_id", "endpoint", "completion_window"}
            assert body["completion_window"] == "24h"
            assert body["endpoint"] in ("/v1/chat/completions", "/v1/responses")
            rows = self.provider.files[body["input_file_id"]]
            for row in rows:
                assert set(row) == {"custom_id", "method", "url", "body"}
                assert (row["method"], row["url"]) == ("POST", body["endpoint"])
            asked = [(row["custom_id"], row["body"]) for row in rows]
            self.begin(kind, body["endpoint"].removeprefix("/"), asked)
            return
        assert set(body) == {"requests"}
        assert all(set(row) == {"custom_id", "params"} for row in body["requests"])
        self.begin(kind, "v1/messages", [(row["custom_id"], row["params"]) for row in body["requests"]])

    def take_file(self, content: bytes) -> None:
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        parts = list(BytesParser(policy=HTTP).parsebytes(head + content).iter_parts())
        named = {part.get_param("name", header="content-disposition"): part for part in parts}
        assert named["purpose"].get_payload(decode=True).strip() == b"batch"
        text = named["file"].get_payload(decode=True).decode()
        name = f"file-{len(self.provider.files)}"
        self.provider.files[name] = [json.loads(line) for line in text.splitlines() if line]
        self.whole(200, {}, {"id": name, "object": "file", "purpose": "batch"})

    def begin(self, kind: str, path: str, asked: list[tuple[str, dict[str, Any]]]) -> None:
        names = [name for name, _ in asked]
        assert len(set(names)) == len(names)
        assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in names)
        name = f"batch{len(self.provider.batches)}"
        rows = [(custom, *self.answered(kind, path, body)) for custom, body in asked]
        self.provider.seen += [(path, body) for _, body in asked]
        self.provider.batches[name] = {"looks": 0, "kind": kind, "rows": rows}
        self.whole(200, {}, {"id": name, "status": "validating", "processing_status": "in_progress"})

    def answered(self, kind: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Status and reply of one request, as it would have been sent."""
        caught: list[Any] = []
        self.whole = lambda *one: caught.append(one)  # type: ignore[method-assign]
        try:
            refusal = (self.provider.faults.pop(0) if self.provider.faults else None) or self.misasked(kind, path, body)
            if refusal is not None:
                caught.append(refusal)
            else:
                getattr(self, f"speak_{kind}")(path, body)
        finally:
            del self.whole  # type: ignore[method-assign]
        return caught[0][0], caught[0][2]

    def look(self, kind: str, name: str) -> None:
        found = self.provider.batches.get(name)
        if found is None or found["kind"] != kind:
            self.whole(404, {}, {"error": {"message": "No such batch", "type": "invalid_request_error"}})
            return
        found["looks"] += 1
        self.provider.waiting.set()
        over = found["looks"] > self.provider.looks and (self.provider.held is None or self.provider.held.is_set())
        if kind == "anthropic":
            self.provider.files[name] = [_anthropic(*row) for row in found["rows"]]
            self.whole(200, {}, {"id": name, "processing_status": "ended" if over else "in_progress"})
            return
        good, bad = f"file-{name}-out", f"file-{name}-errors"
        lines = [
            {"id": "x", "custom_id": custom, "response": {"status_code": status, "body": reply}, "error": None}
            for custom, status, reply in found["rows"]
        ]
        if self.provider.ends == "expired":  # before the last was asked
            lines.pop()
        self.provider.files[good] = [one for one in lines if one["response"]["status_code"] == 200]
        self.provider.files[bad] = [one for one in lines if one["response"]["status_code"] != 200]
        state = {"id": name, "status": self.provider.ends if over else "in_progress"}
        if over and self.provider.ends == "failed":
            state["errors"] = {"object": "list", "data": [{"code": "x", "message": "Enqueued token limit reached"}]}
        elif over:
            state |= {"output_file_id": good, "error_file_id": bad if self.provider.files[bad] else None}
        self.whole(200, {}, state)

    def lines(self, rows: list[Any] | None) -> None:
        if rows is None:
            self.whole(404, {}, {"error": {"message": "No such file"}})
            return
        content = "\n".join(map(json.dumps, rows)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _anthropic(custom: str, status: int, reply: Any) -> dict[str, Any]:
    result = {"type": "succeeded", "message": reply} if status == 200 else {"type": "errored", "error": reply}
    return {"custom_id": custom, "result": result}


@contextmanager
def serving(provider: Batches) -> Iterator[str]:
    """The root address of a server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Speaks", (BatchHandler,), {"provider": provider}))
    server.daemon_threads = True
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
