"""`evalkit view` as a process: a socket on the loopback address, the pages behind it, until Ctrl-C."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn

from evalkit.contract.errors import UserError
from evalkit.viewer.app import application
from evalkit.viewer.made import Made
from evalkit.viewer.runs import Folder

LOOPBACK = "127.0.0.1"
GRACE_S = 2


class Server:
    """The pages over a folder, served by `run`. Raises UserError where the port is taken."""

    def __init__(self, folder: Path, port: int, scratch: Path) -> None:
        self._socket = _bound(port)
        self.port: int = self._socket.getsockname()[1]
        token = secrets.token_urlsafe(24)
        self.url = f"http://{LOOPBACK}:{self.port}/?token={token}"
        """With the token that a browser needs once."""
        app = application(Folder(folder), Made(scratch), token, f"evalkit-view-{self.port}", self._ended)
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_level="critical",
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=GRACE_S,
            )
        )

    def run(self) -> None:
        """Serve until `stop`, or in the main thread until Ctrl-C, which ends it without an exception."""
        with suppress(KeyboardInterrupt):
            self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """End `run`, from any thread."""
        self._server.should_exit = True

    def _ended(self) -> bool:
        return self._server.should_exit


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    try:
        if os.name == "posix":  # elsewhere this would let two servers share a port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((LOOPBACK, port))
        bound.listen()
    except OSError as error:
        bound.close()
        raise UserError(f"view: port {port}: {error.strerror}: give another --port (0: any free one)") from None
    return bound


@contextmanager
def serving(folder: Path, port: int) -> Iterator[Server]:
    """A server whose files go with the block. Raises UserError for a folder that is none, and a port that is taken."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder: give the folder that holds your runs (evalkit run --output)")
    with tempfile.TemporaryDirectory(prefix="evalkit-view-") as scratch:
        yield Server(folder.resolve(), port, Path(scratch))


def serve(folder: Path, port: int, open_browser: bool | None, tell: Callable[[str], None]) -> None:
    """Serve ``folder`` until Ctrl-C; ``tell`` is given the address. ``open_browser`` None: where there is a display."""
    with serving(folder, port) as server:
        tell(server.url)
        if has_display() if open_browser is None else open_browser:
            threading.Timer(0.5, webbrowser.open, [server.url]).start()
        server.run()


def has_display() -> bool:
    """Whether a browser that is opened here would be seen: not through ssh, and not on a machine without a screen."""
    if not sys.stdout.isatty() or os.environ.get("SSH_CONNECTION"):
        return False
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
