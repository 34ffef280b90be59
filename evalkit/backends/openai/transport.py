"""A connection on which no exchange outlasts its deadline.

The time limit of an HTTP client counts each wait for bytes anew, so a server that drips one header line, or one
"102 Processing", every second is never late. Here every wait of an exchange ends at the exchange's own deadline.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore2
import httpx2 as httpx

from evalkit.contract.errors import UserError

_current = threading.local()


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Whatever this thread sends or reads within the block ends after ``seconds``: httpcore2.TimeoutException."""
    _current.end = time.monotonic() + seconds
    try:
        yield
    finally:
        _current.end = None


def _left(timeout: float | None, kind: type[Exception]) -> float | None:
    end = getattr(_current, "end", None)
    if end is None:
        return timeout
    left = end - time.monotonic()
    if left <= 0:
        raise kind("the exchange's time is over")
    return left if timeout is None else min(timeout, left)


class _Stream(httpcore2.NetworkStream):
    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout, httpcore2.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        left = _left(timeout, httpcore2.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Network(httpcore2.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore2.NetworkStream:
        left = _left(timeout, httpcore2.ConnectTimeout)
        return _Stream(super().connect_tcp(host, port, left, local_address, socket_options))


class Transport(httpx.BaseTransport):
    """Connections to one server, through the proxy that the environment names for it (HTTPS_PROXY, NO_PROXY)."""

    def __init__(self, url: str, connections: int) -> None:
        shared: dict[str, Any] = {
            "ssl_context": httpx.create_ssl_context(),
            "max_connections": connections,
            "network_backend": _Network(),
        }
        proxy = _proxy(url)
        if proxy is None:
            self._pool = httpcore2.ConnectionPool(**shared)
        elif proxy.startswith(("http://", "https://")):
            given = httpx.Proxy(proxy)
            self._pool = httpcore2.HTTPProxy(
                proxy_url=str(given.url), proxy_auth=given.raw_auth, proxy_headers=given.headers.raw, **shared
            )
        else:
            try:
                self._pool = httpcore2.SOCKSProxy(proxy_url=proxy, **shared)
            except (ImportError, RuntimeError, ValueError) as error:
                scheme = proxy.partition(":")[0]
                raise UserError(f"the environment names a {scheme} proxy, which cannot be used ({error})") from None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One exchange; errors are httpcore2's own."""
        asked = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        answer = self._pool.handle_request(asked)
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_Body(answer.stream), extensions=answer.extensions
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[bytes]:
        yield from self._inner

    def close(self) -> None:
        self._inner.close()


def _proxy(url: str) -> str | None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or proxy_bypass(host):
        return None
    proxies = getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    return found if not found or "://" in found else f"http://{found}"
