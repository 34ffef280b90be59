"""JSON over HTTP, whole or as a stream, with time-outs, retries and nothing secret in any message."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import tenacity

from evalkit.backends.openai.settings import KEY_VARIABLE, Settings
from evalkit.backends.openai.streaming import BrokenStream, Stream
from evalkit.contract.errors import UserError
from evalkit.perf import clocks
from evalkit.text.reading import parse_json

MAX_REPLY = 64 << 20
"""Bytes of a reply that are read: a server that never stops talking must not fill the memory."""

MAX_WAIT = 120.0
"""Seconds: the longest wait between two tries, whatever Retry-After says."""

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


class RequestFailed(Exception):
    """One request failed, after its retries; the message becomes the response's error. ``status`` 0: no HTTP answer."""

    def __init__(self, message: str, status: int = 0, retry_after: float | None = None, retried: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.retried = retried


@dataclass(frozen=True, slots=True)
class Timed:
    """A reply with the seconds from sending its request, the last time it was tried, to the end of the reply."""

    reply: Any
    seconds: float


class Client:
    """Talks to one server; safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._key = os.environ.get(settings.api_key_env, "")
        if not self._key and settings.api_key_env != KEY_VARIABLE:
            raise UserError(f"api_key_env={settings.api_key_env}: this environment variable is not set")
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._http = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(settings.timeout, connect=min(20.0, settings.timeout)),
            limits=httpx.Limits(max_connections=settings.num_concurrent, max_keepalive_connections=None),
        )
        self._closed = threading.Event()
        self.url = settings.base_url

    @property
    def root(self) -> str:
        """The server's URL without the API's path: where llama.cpp has its own endpoints."""
        return self.url.removesuffix("/v1")

    def get(self, path: str, root: bool = False) -> Any:
        """The JSON behind a path. Raises RequestFailed."""
        return self._call("GET", path, None, root).reply

    def post(self, path: str, body: Mapping[str, Any], root: bool = False) -> Any:
        """The JSON that comes back for ``body``. Raises RequestFailed, or UserError where no request can succeed."""
        return self._call("POST", path, body, root).reply

    def post_timed(self, path: str, body: Mapping[str, Any], root: bool = False) -> Timed:
        """`post`, and how long it took."""
        return self._call("POST", path, body, root)

    def stream(self, path: str, body: Mapping[str, Any], begin: Callable[[float], Stream]) -> Timed:
        """What comes back for ``body``, which asks for a stream: ``begin(when the request was sent)`` makes what its
        events go to, anew for each try. A server that answers in one piece all the same gives plain JSON.
        """
        return self._call("POST", path, body, False, begin)

    def close(self) -> None:
        """Close the connections; threads that wait for another try give up."""
        self._closed.set()
        self._http.close()

    def clean(self, text: object, length: int = 200) -> str:
        """One line of at most ``length`` characters, without the key."""
        line = " ".join(str(text).split())
        if self._key:
            line = line.replace(self._key, "***")
        return line if len(line) <= length else line[: length - 1] + "…"

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        root: bool,
        begin: Callable[[float], Stream] | None = None,
    ) -> Timed:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, RequestFailed) and error.retried),
            stop=tenacity.stop_after_attempt(self._settings.max_retries + 1),
            wait=self._wait,
            sleep=self._sleep,
            reraise=True,
        )
        timed: Timed = retrying(self._once, method, (self.root if root else self.url) + path, body, begin)
        return timed

    def _sleep(self, seconds: float) -> None:
        self._closed.wait(seconds)

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = getattr(error, "retry_after", None)
        if asked is not None:
            return float(min(asked, MAX_WAIT))
        return float(tenacity.wait_random_exponential(self._settings.retry_wait, MAX_WAIT)(state))

    def _once(
        self,
        method: str,
        url: str,
        body: Mapping[str, Any] | None,
        begin: Callable[[float], Stream] | None,
    ) -> Timed:
        if self._closed.is_set():
            raise RequestFailed("the connection was closed")
        deadline = time.monotonic() + self._settings.timeout
        sent = clocks.now()
        try:
            with self._http.stream(method, url, json=body) as response:
                chunks = self._chunks(response, deadline)
                if begin is not None and response.status_code == 200:
                    first = next(chunks, b"")
                    chunks = chain((first,), chunks)
                    if _is_stream(response, first):
                        return Timed(self._follow(begin(sent), chunks), clocks.now() - sent)
                content = b"".join(chunks)
        except httpx.TimeoutException:
            raise self._late() from None
        except httpx.TransportError as error:
            where = urlsplit(url).netloc
            reason = self.clean(error) or type(error).__name__
            raise RequestFailed(f"the connection to {where} failed: {reason}", retried=True) from None
        except httpx.HTTPError as error:
            raise RequestFailed(f"the server's reply cannot be read: {self.clean(error)}") from None
        seconds = clocks.now() - sent
        if response.status_code >= 300:
            raise self._refusal(response, content, url)
        try:
            return Timed(parse_json(content), seconds)
        except ValueError:
            start = self.clean(content[:200].decode("utf-8", "replace"), 80)
            raise RequestFailed(f"the server's reply is not JSON: {start!r}", response.status_code) from None

    def _chunks(self, response: httpx.Response, deadline: float) -> Iterator[bytes]:
        """The reply as it comes. Raises RequestFailed where it is too long or too late."""
        length = 0
        for chunk in response.iter_bytes():
            length += len(chunk)
            if length > MAX_REPLY:
                raise RequestFailed(f"the server's reply is longer than {MAX_REPLY >> 20} MiB")
            if time.monotonic() > deadline:
                raise self._late()
            yield chunk

    def _follow(self, stream: Stream, chunks: Iterable[bytes]) -> Stream:
        """The stream, read to its end. Raises RequestFailed for half of one, and for an error told in it."""
        try:
            for chunk in chunks:
                stream.take(chunk)
            stream.end()
        except BrokenStream as error:
            retried = error.status in RETRIED or error.cut
            raise RequestFailed(self.clean(error), 200, retried=retried) from None
        return stream

    def _late(self) -> RequestFailed:
        return RequestFailed(f"no reply within {self._settings.timeout:g} s", retried=True)

    def _refusal(self, response: httpx.Response, content: bytes, url: str) -> Exception:
        """What an HTTP status means: a failed request, or a mistake that every further request would share."""
        status = response.status_code
        said = self.clean(_message(content)) or response.reason_phrase
        if status in (401, 403):
            return UserError(
                f"{self.url}: the server refuses the key (HTTP {status}: {said}): set the environment variable "
                f"{self._settings.api_key_env}"
            )
        if status in (404, 405) and response.request.method == "POST":
            return UserError(
                f"{self.url}: the server has no {url.removeprefix(self.root)}, or not this model "
                f"(HTTP {status}: {said}): check the URL and model=NAME in --model_args"
            )
        if 300 <= status < 400:
            return UserError(f"{self.url}: the server redirects to another place (HTTP {status}): give that URL")
        return RequestFailed(f"HTTP {status}: {said}", status, _retry_after(response), status in RETRIED)


def _is_stream(response: httpx.Response, first: bytes) -> bool:
    """Whether the reply is server-sent events, by its type or by how it begins."""
    said = str(response.headers.get("content-type", ""))
    return said.startswith("text/event-stream") or first.lstrip().startswith((b"data:", b"event:", b":"))


def _message(content: bytes) -> str:
    """The server's words: error.message, message or detail of a JSON object, else the text."""
    text = content[:4000].decode("utf-8", "replace")
    try:
        said = parse_json(content)
    except ValueError:
        return text
    if isinstance(said, dict):
        inner = said.get("error", said)
        if isinstance(inner, str):
            return inner
        if isinstance(inner, dict):
            return str(inner.get("message") or inner.get("detail") or text)
    return text


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that the server asks to wait: a number or a date (RFC 9110, 10.2.3)."""
    given = response.headers.get("retry-after", "").strip()
    if not given:
        return None
    try:
        return max(0.0, float(given))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(given)
    except ValueError:
        return None
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
