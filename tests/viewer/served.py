"""A server over a folder for the length of a block, and a browser's side of it."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

from evalkit.viewer.server import serving


class Client:
    """Asks with the cookie that the printed address gave."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.base = url.partition("/?")[0]
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        self._opener.open(url, timeout=30).read()

    def ask(self, path: str, **headers: str) -> tuple[int, str, Any]:
        """Status, text and headers."""
        request = urllib.request.Request(self.base + path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        try:
            with self._opener.open(request, timeout=60) as answer:
                return answer.status, answer.read().decode(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), error.headers

    def page(self, path: str, *pairs: tuple[str, str]) -> str:
        """The text of a page that must be there."""
        status, text, _ = self.ask(f"{path}?{urllib.parse.urlencode(pairs)}" if pairs else path)
        assert status == 200, text[-500:]
        return text

    def json(self, path: str, *pairs: tuple[str, str]) -> Any:
        """A piece that must be there."""
        return json.loads(self.page(path, *pairs))


@contextmanager
def served(folder: Path) -> Iterator[Client]:
    """The pages over ``folder``."""
    with serving(folder, 0) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield Client(server.url)
        finally:
            server.stop()
            thread.join(20)
            assert not thread.is_alive()
