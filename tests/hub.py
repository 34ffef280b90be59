"""A stand-in for the Hub on the loopback interface: data sets as a client of its web interface finds them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SHA = "0123456789abcdef0123456789abcdef01234567"
"""The commit of every data set."""

Splits = Mapping[str, Sequence[Mapping[str, Any]]]
"""Rows by split."""


def _files(configs: Mapping[str, Splits]) -> dict[str, bytes]:
    """A data set's repository: a card that lists its configs, and a file of JSON lines a split."""
    card = ["---", "configs:"]
    files = {}
    for config, splits in configs.items():
        card += [f"- config_name: {config}", "  data_files:"]
        for split, rows in splits.items():
            path = f"{config}/{split}.jsonl"
            card += [f"  - split: {split}", f"    path: {path}"]
            files[path] = "".join(json.dumps(dict(row)) + "\n" for row in rows).encode()
    return {"README.md": "\n".join([*card, "---", ""]).encode(), **files}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    repositories: dict[str, dict[str, bytes]]
    asked: list[str]
    made: dict[str, Mapping[str, Any]]

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self._body = self.rfile.read(length)
        self._answer()

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        self.asked.append(f"{self.command} {self.path}")
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if self.command == "POST" and (path == "/api/repos/create" or "/preupload/" in path or "/commit/" in path):
            return self._written(path)
        for name, files in self.repositories.items():
            if path == f"/api/datasets/{name}" or path.startswith(f"/api/datasets/{name}/revision/"):
                siblings = [{"rfilename": file} for file in files]
                return self._json({"id": name, "sha": SHA, "private": False, "tags": [], "siblings": siblings})
            if found := re.fullmatch(rf"/api/datasets/{re.escape(name)}/tree/[^/]+(?:/(.*))?", path):
                return self._json(_listed(files, found.group(1) or ""))
            if path.startswith(f"/api/datasets/{name}/paths-info/"):
                asked = json.loads(self._body)["paths"] if self._body[:1] == b"{" else []
                return self._json([_entry(one, files[one]) for one in asked if one in files])
            if found := re.fullmatch(rf"/datasets/{re.escape(name)}/resolve/[^/]+/(.*)", path):
                if found.group(1) in files:
                    return self._send(files[found.group(1)], "application/octet-stream")
                return self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
        return self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    def _written(self, path: str) -> None:
        """A repository made, or files put into one: all of a commit or nothing."""
        if not (self.headers.get("Authorization") or "").startswith("Bearer "):
            return self._json({"error": "Invalid username or password."}, 401)
        if path == "/api/repos/create":
            asked = json.loads(self._body)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            kind = asked.get("type", "model")
            url = f"http://{self.headers['Host']}/{kind}s/{name}"
            if name in self.repositories:
                return self._json({"error": "You already created this repo", "url": url}, 409)
            self.made[name] = asked
            self.repositories[name] = {}
            return self._json({"url": url})
        found = re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/(preupload|commit)/[^/]+", path)
        if found is None or found[1] not in self.repositories:
            return self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        if found[2] == "preupload":
            names = [one["path"] for one in json.loads(self._body)["files"]]
            modes = [{"path": one, "uploadMode": "regular", "shouldIgnore": False} for one in names]
            return self._json({"files": modes})
        for line in self._body.splitlines():
            one = json.loads(line)
            if one["key"] == "file":
                self.repositories[found[1]][one["value"]["path"]] = base64.b64decode(one["value"]["content"])
        url = f"http://{self.headers['Host']}/datasets/{found[1]}/commit/{SHA}"
        return self._json({"success": True, "commitUrl": url, "commitOid": SHA})

    def _json(self, value: object, status: int = 200, headers: Mapping[str, str] = {}) -> None:
        self._send(json.dumps(value).encode(), "application/json", status, headers)

    def _send(self, body: bytes, kind: str, status: int = 200, headers: Mapping[str, str] = {}) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", SHA)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _entry(path: str, content: bytes) -> dict[str, object]:
    return {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}


def _listed(files: Mapping[str, bytes], under: str) -> list[dict[str, object]]:
    inside = under + "/" if under else ""
    found: dict[str, dict[str, object]] = {}
    for path, content in files.items():
        if path.startswith(inside):
            first, slash, _ = path[len(inside) :].partition("/")
            entry = {"type": "directory", "path": inside + first, "size": 0, "oid": SHA}
            found[first] = entry if slash else _entry(path, content)
    return list(found.values())


@contextmanager
def hub(datasets: Mapping[str, Mapping[str, Splits]]) -> Iterator[tuple[str, list[str]]]:
    """Serve ``datasets`` (id, config, split, rows); gives the address and what was asked of it so far."""
    asked: list[str] = []
    with _serving({name: _files(configs) for name, configs in datasets.items()}, asked, {}) as url:
        yield url, asked


Repositories = dict[str, dict[str, bytes]]
"""Files by their path, of every repository."""


@contextmanager
def writable_hub() -> Iterator[tuple[str, Repositories, dict[str, Mapping[str, Any]]]]:
    """An empty Hub that takes data sets from whoever has a token; gives its address, the files that it holds, and what
    was said when each data set was made.
    """
    repositories: Repositories = {}
    made: dict[str, Mapping[str, Any]] = {}
    with _serving(repositories, [], made) as url:
        yield url, repositories, made


@contextmanager
def _serving(repositories: Repositories, asked: list[str], made: dict[str, Mapping[str, Any]]) -> Iterator[str]:
    own = {"repositories": repositories, "asked": asked, "made": made, "_body": b""}
    handler = type("Handler", (_Handler,), own)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
