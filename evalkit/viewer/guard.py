"""Who may read the pages: a browser on this machine that was given the address with its token, and nobody else.

The server listens on the loopback address alone. A page elsewhere whose name was pointed there (DNS rebinding) is told
by its Host header, a page elsewhere that asks or embeds by Sec-Fetch-Site, and another user of the machine by lacking
the token, which travels once in the printed address and then in a cookie that no script can read.
"""

from __future__ import annotations

import hmac
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost", "[::1]")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
ANYWHERE = ("same-origin", "none")
"""What a browser says of a request that a page of ours, or the reader's own hand, began."""
WITHOUT = "This page needs its token: open the address that `evalkit view` printed."


class Guard:
    """An ASGI application around another: refuses, or adds headers that keep a page to itself."""

    def __init__(self, app: ASGIApp, token: str, cookie: str) -> None:
        self._app = app
        self._token = token
        self._cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await (self._refusal(scope) or self._app)(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if _host(headers.get("host", "")) not in HOSTS:
            return PlainTextResponse("Only 127.0.0.1 and localhost are served.", 403)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("Pages are only read here.", 405)
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        if self._is_token(query.pop("token", "")):
            where = scope["path"] if scope["path"].startswith("/") and scope["path"][1:2] not in ("/", "\\") else "/"
            given = RedirectResponse(f"{where}?{urlencode(query)}" if query else where, 303)
            given.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path="/")
            return given
        if headers.get("sec-fetch-site", "none") not in ANYWHERE and headers.get("sec-fetch-mode") != "navigate":
            return PlainTextResponse("Other pages read nothing here.", 403)
        if not self._is_token(cookie_parser(headers.get("cookie", "")).get(self._cookie, "")):
            return PlainTextResponse(WITHOUT, 403)
        return None

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode("utf-8", "replace"), self._token.encode())


def _host(header: str) -> str:
    """A Host header without its port."""
    name, colon, port = header.rpartition(":")
    return name if colon and port.isdecimal() else header
