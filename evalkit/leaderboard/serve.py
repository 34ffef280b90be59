"""Look at a built site on this machine alone."""

from __future__ import annotations

import functools
import http.server
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError

LOOPBACK = "127.0.0.1"


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Files of the folder, without listings, with headers that keep a page to itself."""

    def end_headers(self) -> None:
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def send_head(self) -> Any:
        # A page elsewhere whose name was pointed at the loopback address (DNS rebinding) reads nothing.
        host = (self.headers.get("Host") or "").rpartition(":")[0]
        if host not in (LOOPBACK, "localhost"):
            self.send_error(403, "Only 127.0.0.1 and localhost are served")
            return None
        return super().send_head()

    def list_directory(self, path: Any) -> None:
        self.send_error(404, "No such page")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged."""


def server(site: Path, port: int) -> http.server.ThreadingHTTPServer:
    """A server of ``site`` on the loopback address; port 0 takes a free one. Raises UserError."""
    if not (site / "index.html").is_file():
        raise UserError(f"{site}: no index.html: build the site first: evalkit leaderboard build RUNS --out {site}")
    try:
        return http.server.ThreadingHTTPServer((LOOPBACK, port), functools.partial(_Handler, directory=str(site)))
    except OSError as error:
        raise UserError(f"leaderboard serve: port {port}: {error.strerror}: give another --port") from None
