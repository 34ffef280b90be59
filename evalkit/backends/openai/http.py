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

import httpcore2
import httpx2 as httpx
import tenacity

from evalkit.backends.openai.replies import Told, told
from evalkit.backends.openai.settings import KEY_VARIABLE, Settings
from evalkit.backends.openai.streaming import SHOWN, BrokenStream, Stream
from evalkit.backends.openai.transport import Transport, deadline
from evalkit.contract.errors import UserError
from evalkit.perf import clocks
from evalkit.text.reading import parse_json
from evalkit.text.secrets import blot, mask_text

MAX_REPLY = 64 << 20
"""Bytes of a reply that are read: a server that never stops talking must not fill the memory."""

MAX_WAIT = 120.0
"""Seconds: the longest wait between two tries, whatever Retry-After says."""

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
NEVER_ANSWERED = frozenset({401, 403, 404, 405})
"""Statuses of a request for text that every further request would share: a wrong key, URL or model."""


class RequestFailed(Exception):
    """One request failed, after its retries; the message becomes the response's error. ``status`` 0: no HTTP answer;
    ``param``: the parameter that the server names in its refusal.
    """

    def __init__(
        self,
        message: str,
        status: int = 0,
        retry_after: float | None = None,
        retried: bool = False,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.retried = retried
        self.param = param


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
            transport=Transport(settings.base_url, settings.num_concurrent),
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
        """One line of at most ``length`` characters, without the key or anything else that looks like a secret."""
        line = mask_text(self.blot(" ".join(str(text).split())))
        return line if len(line) <= length else line[: length - 1] + "…"

    def blot(self, text: str) -> str:
        """``text`` without the key: what a model says must not carry it into a record."""
        return blot(text, self._key)

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
        sent = clocks.now()
        try:
            with deadline(self._settings.timeout), self._http.stream(method, url, json=body) as response:
                chunks = self._chunks(response)
                if begin is not None and response.status_code == 200:
                    first = next(chunks, b"")
                    chunks = chain((first,), chunks)
                    if _is_stream(response, first):
                        return Timed(self._follow(begin(sent), chunks, url), clocks.now() - sent)
                content = b"".join(chunks)
        except (httpx.TimeoutException, httpcore2.TimeoutException):
            raise self._late() from None
        except (httpx.TransportError, httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.ProxyError) as error:
            where = urlsplit(url).netloc
            reason = self.clean(error) or type(error).__name__
            raise RequestFailed(f"the connection to {where} failed: {reason}", retried=True) from None
        except httpx.HTTPError as error:
            raise RequestFailed(f"the server's reply cannot be read: {self.clean(error)}") from None
        return Timed(self._read(response, content, url), clocks.now() - sent)

    def _read(self, response: httpx.Response, content: bytes, url: str) -> Any:
        """The JSON of a whole reply. Raises what its status means, or the status that an error in it tells of."""
        refused = response.status_code >= 300
        start = content[:SHOWN].decode("utf-8", "replace")
        try:
            reply = parse_json(content)
        except ValueError:
            if refused:
                raise self._refusal(response, Told(start or response.reason_phrase), url) from None
            raise RequestFailed(
                f"the server's reply is not JSON: {self.clean(start, 80)!r}", response.status_code
            ) from None
        error = told(reply, always=refused)
        if refused or error is not None:
            raise self._refusal(response, error or Told(start or response.reason_phrase), url)
        return reply

    def _chunks(self, response: httpx.Response) -> Iterator[bytes]:
        """The reply as it comes. Raises RequestFailed where it is too long or too late."""
        length = 0
        end = time.monotonic() + self._settings.timeout
        for chunk in response.iter_bytes():
            length += len(chunk)
            if length > MAX_REPLY:
                raise RequestFailed(f"the server's reply is longer than {MAX_REPLY >> 20} MiB")
            if time.monotonic() > end:  # many chunks may come of one read
                raise self._late()
            yield chunk

    def _follow(self, stream: Stream, chunks: Iterable[bytes], url: str) -> Stream:
        """The stream, read to its end. Raises RequestFailed for half of one, and for an error told in it."""
        try:
            for chunk in chunks:
                stream.take(chunk)
            stream.end()
        except BrokenStream as error:
            if error.status in NEVER_ANSWERED:
                raise self._hopeless(error.status, self.clean(error), url) from None
            retried = error.status in RETRIED or error.cut
            param = error.told.param if error.told else None
            raise RequestFailed(self.clean(error), 200, retried=retried, param=param) from None
        return stream

    def _late(self) -> RequestFailed:
        return RequestFailed(f"no reply within {self._settings.timeout:g} s", retried=True)

    def _refusal(self, response: httpx.Response, error: Told, url: str) -> Exception:
        """What an HTTP status, or the one told in a reply of status 200, means: a failed request, or a mistake that
        every further request would share.
        """
        status, said = response.status_code, self.clean(error.message) or self.clean(response.reason_phrase)
        if status < 300:
            status = error.status
            said = said if status else f"the server tells of an error: {said}"
        posted = response.request.method == "POST"
        if status in (401, 403) or (status in NEVER_ANSWERED and posted):
            return self._hopeless(status, said, url)
        if 300 <= status < 400:
            return UserError(f"{self._shown}: the server redirects to another place (HTTP {status}): give that URL")
        message = f"HTTP {status}: {said}" if status else said
        return RequestFailed(message, status or 200, _retry_after(response), status in RETRIED, error.param)

    def _hopeless(self, status: int, said: str, url: str) -> UserError:
        if status in (401, 403):
            return UserError(
                f"{self._shown}: the server refuses the key (HTTP {status}: {said}): set the environment variable "
                f"{self._settings.api_key_env}"
            )
        return UserError(
            f"{self._shown}: the server has no {url.removeprefix(self.root)}, or not this model "
            f"(HTTP {status}: {said}): check the URL and model=NAME in --model_args"
        )

    @property
    def _shown(self) -> str:
        return mask_text(self.url)


def _is_stream(response: httpx.Response, first: bytes) -> bool:
    """Whether the reply is server-sent events, by its type or by how it begins."""
    said = str(response.headers.get("content-type", ""))
    return said.startswith("text/event-stream") or first.lstrip().startswith((b"data:", b"event:", b":"))


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
        return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):  # no date, or one beyond the calendar
        return None
