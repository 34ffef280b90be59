"""JSON over HTTP, whole or as a stream, with time-outs, retries and nothing secret in any message."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import tenacity

from evalkit.backends.openai.concurrency import Concurrency
from evalkit.backends.openai.pace import Pace
from evalkit.backends.openai.replies import Told, is_bad_key, is_out_of_credit, told
from evalkit.backends.openai.settings import Credentials, Settings, bearer
from evalkit.backends.openai.streaming import SHOWN, BrokenStream, Stream
from evalkit.contract.errors import UserError
from evalkit.perf import clocks
from evalkit.text.reading import parse_json
from evalkit.text.secrets import blot, mask_text

MAX_REPLY = 64 << 20
"""Bytes of a reply that are read: a server that never stops talking must not fill the memory."""

MAX_WAIT = 120.0
"""Seconds: the longest wait between two tries, whatever Retry-After says."""

OVERLOADED = frozenset({429, 503, 529})
RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
NEVER_ANSWERED = frozenset({401, 403, 404, 405})
"""Statuses of a request for text that every further request would share: a wrong key, URL or model."""


class RequestFailed(Exception):
    """One request failed, after its retries; the message becomes the response's error. ``status`` 0: no HTTP answer;
    ``param``: the parameter that the server names in its refusal; ``late``: no reply came in time; ``code``: the
    server's own word for the kind of failure.
    """

    def __init__(
        self,
        message: str,
        status: int = 0,
        retry_after: float | None = None,
        retried: bool = False,
        param: str | None = None,
        late: bool = False,
        code: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.late = late
        self.status = status
        self.retry_after = retry_after
        self.retried = retried
        self.param = param


@dataclass(frozen=True, slots=True)
class Timed:
    """A reply with the seconds from sending its request, the last time it was tried, to the end of the reply."""

    reply: Any
    seconds: float


@dataclass(frozen=True, slots=True)
class Sent:
    """What goes with a request; ``lines``: what comes back are lines of JSON."""

    body: bytes | None = None
    headers: Mapping[str, str] | None = None
    lines: bool = False


class Client:
    """Talks to one server, on one event loop; its connections are kept and shared."""

    def __init__(self, settings: Settings, credentials: Credentials | None = None) -> None:
        self._settings = settings
        self.concurrency = Concurrency(settings.num_concurrent)
        self.pace = Pace()
        found = bearer(settings) if credentials is None else credentials
        self._key = found.key
        self._headers = {"Content-Type": "application/json", **found.headers}
        self._proxy = _proxy(settings.base_url)
        self._session: aiohttp.ClientSession | None = None
        self.url = settings.base_url

    @property
    def root(self) -> str:
        """The server's URL without the API's path: where llama.cpp has its own endpoints."""
        return self.url.removesuffix("/v1")

    async def get(self, path: str, root: bool = False) -> Any:
        """The JSON behind a path. Raises RequestFailed."""
        return (await self._call("GET", path, None, root)).reply

    async def post(self, path: str, body: Mapping[str, Any], root: bool = False) -> Any:
        """The JSON that comes back for ``body``. Raises RequestFailed, or UserError where no request can succeed."""
        return (await self._call("POST", path, body, root)).reply

    async def post_timed(self, path: str, body: Mapping[str, Any], root: bool = False) -> Timed:
        """`post`, and how long it took."""
        return await self._call("POST", path, body, root)

    async def upload(self, path: str, fields: Mapping[str, str], name: str, content: bytes) -> Any:
        """The JSON that comes back for a form with ``fields`` and a file. Raises as `post`."""
        mark = secrets.token_hex(16)
        parts = [
            f'--{mark}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in fields.items()
        ]
        file = f'form-data; name="file"; filename="{name}"\r\nContent-Type: application/octet-stream'
        head = "".join([*parts, f"--{mark}\r\nContent-Disposition: {file}\r\n\r\n"])
        body = head.encode() + content + f"\r\n--{mark}--\r\n".encode()
        sent = Sent(body, {"Content-Type": f"multipart/form-data; boundary={mark}"})
        return (await self._tried("POST", self.url + path, sent, None)).reply

    async def lines(self, path: str) -> list[Any]:
        """The JSON of every line behind a path. Raises RequestFailed."""
        return list((await self._tried("GET", self.url + path, Sent(lines=True), None)).reply)

    async def stream(self, path: str, body: Mapping[str, Any], begin: Callable[[float], Stream]) -> Timed:
        """What comes back for ``body``, which asks for a stream: ``begin(when the request was sent)`` makes what its
        events go to, anew for each try. A server that answers in one piece all the same gives plain JSON.
        """
        return await self._call("POST", path, body, False, begin)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def clean(self, text: object, length: int = 200) -> str:
        """One line of at most ``length`` characters, without the key or anything else that looks like a secret."""
        line = mask_text(self.blot(" ".join(str(text).split())))
        return line if len(line) <= length else line[: length - 1] + "…"

    def blot(self, text: str) -> str:
        """``text`` without the key: what a model says must not carry it into a record."""
        return blot(text, self._key)

    async def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        root: bool,
        begin: Callable[[float], Stream] | None = None,
    ) -> Timed:
        sent = Sent(None if body is None else json.dumps(body).encode())
        return await self._tried(method, (self.root if root else self.url) + path, sent, begin)

    async def _tried(self, method: str, url: str, sent: Sent, begin: Callable[[float], Stream] | None) -> Timed:
        """One exchange with its retries."""
        try:
            return await self._once(method, url, sent, begin)
        except RequestFailed as error:
            if not error.retried or not self._settings.max_retries:
                raise
            failures = [error]

        async def once_more() -> Timed:
            if failures:  # the try above counts as the first
                raise failures.pop()
            return await self._once(method, url, sent, begin)

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, RequestFailed) and error.retried),
            stop=tenacity.stop_after_attempt(self._settings.max_retries + 1),
            wait=self._wait,
            reraise=True,
        )
        timed: Timed = await retrying(once_more)
        return timed

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = getattr(error, "retry_after", None)
        if asked is not None:
            return float(min(asked, MAX_WAIT))
        return float(tenacity.wait_random_exponential(self._settings.retry_wait, MAX_WAIT)(state))

    async def _once(self, method: str, url: str, sent: Sent, begin: Callable[[float], Stream] | None) -> Timed:
        async with self.concurrency:
            await self.pace.wait()
            try:
                timed = await self._exchange(method, url, sent, begin)
            except RequestFailed as error:
                if error.late or error.status in OVERLOADED:
                    self.concurrency.refused(time.monotonic())
                    self.pace.refused(error.status, error.retry_after)
                raise
            self.concurrency.answered(time.monotonic())
            return timed

    async def _exchange(self, method: str, url: str, given: Sent, begin: Callable[[float], Stream] | None) -> Timed:
        if self._session is None:
            limit = aiohttp.ClientTimeout(total=self._settings.timeout, sock_connect=min(20.0, self._settings.timeout))
            self._session = aiohttp.ClientSession(
                headers=self._headers, timeout=limit, connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300)
            )
        sent = clocks.now()
        try:
            async with self._session.request(
                method, url, data=given.body, headers=given.headers, proxy=self._proxy, allow_redirects=False
            ) as response:
                self.pace.told(response.headers)
                chunks = self._chunks(response)
                first = b""
                if begin is not None and response.status == 200:
                    first = await anext(chunks, b"")
                    if _is_stream(response, first):
                        return Timed(await self._follow(begin(sent), first, chunks, url), clocks.now() - sent)
                content = b"".join([first, *[chunk async for chunk in chunks]])
        except TimeoutError:
            raise self._late() from None
        except aiohttp.InvalidURL as error:
            raise UserError(f"{self._shown}: not a URL that can be asked: {self.clean(error)}") from None
        except aiohttp.ContentTypeError as error:
            raise RequestFailed(f"the server's reply cannot be read: {self.clean(error)}") from None
        except (aiohttp.ClientError, OSError) as error:
            where = urlsplit(url).netloc
            reason = self.clean(error) or type(error).__name__
            raise RequestFailed(f"the connection to {where} failed: {reason}", retried=True) from None
        if given.lines and response.status == 200:
            return Timed(self._lines(content), clocks.now() - sent)
        return Timed(self._read(response, content, url), clocks.now() - sent)

    def _lines(self, content: bytes) -> list[Any]:
        try:
            return [parse_json(line) for line in content.splitlines() if line.strip()]
        except ValueError as error:
            raise RequestFailed(f"a line of the server's reply is not JSON: {self.clean(error, 80)}") from None

    def _read(self, response: aiohttp.ClientResponse, content: bytes, url: str) -> Any:
        """The JSON of a whole reply. Raises what its status means, or the status that an error in it tells of."""
        refused = response.status >= 300
        start = content[:SHOWN].decode("utf-8", "replace")
        try:
            reply = parse_json(content)
        except ValueError:
            if refused:
                raise self._refusal(response, Told(start or response.reason or ""), url) from None
            raise RequestFailed(f"the server's reply is not JSON: {self.clean(start, 80)!r}", response.status) from None
        error = told(reply, always=refused)
        if refused or error is not None:
            raise self._refusal(response, error or Told(start or response.reason or ""), url)
        return reply

    async def _chunks(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """The reply as it comes. Raises RequestFailed where it is too long."""
        length = 0
        async for chunk in response.content.iter_any():
            length += len(chunk)
            if length > MAX_REPLY:
                raise RequestFailed(f"the server's reply is longer than {MAX_REPLY >> 20} MiB")
            yield chunk

    async def _follow(self, stream: Stream, first: bytes, chunks: AsyncIterator[bytes], url: str) -> Stream:
        """The stream, read to its end. Raises RequestFailed for half of one, and for an error told in it."""
        try:
            stream.take(first)
            async for chunk in chunks:
                stream.take(chunk)
            stream.end()
        except BrokenStream as error:
            if error.status in NEVER_ANSWERED:
                raise self._hopeless(error.status, self.clean(error), url) from None
            retried = error.status in RETRIED or error.cut
            param, code = (error.told.param, error.told.code) if error.told else (None, "")
            # 200: told in a reply that pretends to be one; but a server that is full is full.
            status = error.status if error.status in OVERLOADED else 200
            raise RequestFailed(self.clean(error), status, retried=retried, param=param, code=code) from None
        return stream

    def _late(self) -> RequestFailed:
        return RequestFailed(f"no reply within {self._settings.timeout:g} s", retried=True, late=True)

    def _refusal(self, response: aiohttp.ClientResponse, error: Told, url: str) -> Exception:
        """What an HTTP status, or the one told in a reply of status 200, means: a failed request, or a mistake that
        every further request would share.
        """
        status, said = response.status, self.clean(error.message) or self.clean(response.reason or "")
        if status < 300:
            status = error.status
            said = said if status else f"the server tells of an error: {said}"
        posted = response.method == "POST"
        if status == 402 or (status in (400, 403, 429) and is_out_of_credit(error.code, said)):
            return UserError(f"{self._shown}: the account has no credit left (HTTP {status}: {said})")
        if status == 400 and is_bad_key(said):
            status = 401
        if status in (401, 403) or (status in NEVER_ANSWERED and posted):
            return self._hopeless(status, said, url)
        if 300 <= status < 400:
            return UserError(f"{self._shown}: the server redirects to another place (HTTP {status}): give that URL")
        message = f"HTTP {status}: {said}" if status else said
        wait = _retry_after(response)
        wait = error.wait if wait is None else wait
        return RequestFailed(message, status or 200, wait, status in RETRIED, error.param, code=error.code)

    def _hopeless(self, status: int, said: str, url: str) -> UserError:
        if status in (401, 403):
            return UserError(
                f"{self._shown}: the server refuses the key (HTTP {status}: {said}): set the environment variable "
                f"{self._settings.api_key_env}"
            )
        return UserError(
            f"{self._shown}: the server has no {url.removeprefix(self.root)}, or not this model "
            f"(HTTP {status}: {said}): {self._advice(said)}"
        )

    def _advice(self, said: str) -> str:
        if "v1/responses" in said:
            return "ask by responses: --model_args api=responses (docs/hosted.md)"
        return "check the URL and model=NAME in --model_args"

    @property
    def _shown(self) -> str:
        return mask_text(self.url)


def _is_stream(response: aiohttp.ClientResponse, first: bytes) -> bool:
    """Whether the reply is server-sent events, by its type or by how it begins."""
    said = str(response.headers.get("content-type", ""))
    return said.startswith(("text/event-stream", "application/x-ndjson")) or first.lstrip().startswith(
        (b"data:", b"event:", b":")
    )


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Seconds that the server asks to wait: a number or a date (RFC 9110, 10.2.3), or OpenAI's milliseconds."""
    exact = response.headers.get("retry-after-ms", "").strip()
    if exact.isdigit():
        return int(exact) / 1000
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


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for the server (HTTPS_PROXY, NO_PROXY). Raises UserError."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or proxy_bypass(host):
        return None
    proxies = getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    found = found if not found or "://" in found else f"http://{found}"
    if found and not found.startswith(("http://", "https://")):
        raise UserError(
            f"the environment names a {found.partition(':')[0]} proxy, which cannot be used: name an HTTP "
            "proxy, or the server in NO_PROXY"
        )
    return found
