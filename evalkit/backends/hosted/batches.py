"""Requests asked as batches, at half the price (``--model_args batch=true``): OpenAI's and Anthropic's, looked up in
November 2026 (platform.openai.com/docs/guides/batch, platform.claude.com/docs/en/build-with-claude/batch-processing).

What the rest of the backend posts one by one is collected, handed over as a batch, and waited for; each answer then
goes to who asked for it, as if it had come alone. Which requests lie in which batch is written down before anything is
waited for, so that after an interruption or a kill the same requests take their answers from the batch that has been
paid for.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evalkit.backends.openai.concurrency import Concurrency
from evalkit.backends.openai.http import RETRIED, Client, RequestFailed, Timed
from evalkit.backends.openai.replies import told
from evalkit.backends.openai.settings import Credentials, Settings
from evalkit.contract.errors import LimitReached, UserError
from evalkit.perf import clocks
from evalkit.store.identity import digest
from evalkit.store.paths import cache_dir
from evalkit.text.reading import Malformed, parse_json

Protocol = Literal["openai", "anthropic"]
MOST, MOST_BYTES = 5_000, 50 << 20
"""Requests, and bytes of them, in a batch: a tenth of what the providers allow, so that results fit a reply."""
QUIET_S = 0.3
"""So long nobody asks for more before a batch is handed over."""
KEPT_S = 28 * 86400
"""Seconds for which results are kept (29 days at Anthropic, 30 at OpenAI)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that waits for its batch."""

    name: str
    path: str
    body: Mapping[str, Any]
    reply: asyncio.Future[Any]


class Book:
    """Which requests lie in which batch, in a file that outlives this process."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._batches: dict[str, str] = {}
        for line in file.read_text("utf-8").splitlines() if file.exists() else ():
            try:
                self._take(parse_json(line))
            except (Malformed, KeyError, TypeError):
                continue  # a line that a kill cut

    def _take(self, line: Mapping[str, Any]) -> None:
        if "done" in line:
            self._batches = {name: batch for name, batch in self._batches.items() if batch != line["done"]}
        elif time.time() - float(line["at"]) < KEPT_S:
            self._batches |= dict.fromkeys(map(str, line["names"]), str(line["batch"]))

    def batch_of(self, name: str) -> str | None:
        """The batch that has a request."""
        return self._batches.get(name)

    def begin(self, batch: str, names: Sequence[str]) -> None:
        """A batch was handed over."""
        self._write({"batch": batch, "at": time.time(), "names": list(names)})

    def end(self, batch: str) -> None:
        """Its answers have been kept, or it is gone: the next run asks anew."""
        self._write({"done": batch})

    def _write(self, line: Mapping[str, Any]) -> None:
        self._take(line)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(number, "a", encoding="utf-8") as file:
            file.write("\n" + json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())


class BatchClient(Client):
    """A `Client` whose requests for text go by batches. ``stopped`` says whether the user wants to stop waiting."""

    def __init__(self, settings: Settings, credentials: Credentials, protocol: Protocol, poll: float) -> None:
        super().__init__(settings, credentials)
        self.concurrency = Concurrency(MOST)
        self.stopped: Callable[[], bool] = lambda: False
        self._protocol = protocol
        self._poll = poll
        self._book = Book(cache_dir() / "batches" / f"{digest([settings.base_url, protocol])[:16]}.jsonl")
        self._waiting: list[Asked] = []
        self._collector: asyncio.Task[None] | None = None
        self._seen: dict[str, int] = {}
        self._delivered: set[str] = set()

    async def post_timed(self, path: str, body: Mapping[str, Any], root: bool = False) -> Timed:
        """The reply to ``body`` out of its batch. Raises RequestFailed for a request that failed there, UserError for a
        batch that did.
        """
        began = clocks.now()
        key = digest([path, body])[:40]
        count = self._seen[key] = self._seen.get(key, -1) + 1
        asked = Asked(f"{key}-{count}", path, body, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if self._collector is None or self._collector.done():
            self._collector = asyncio.create_task(self._collect())
        return Timed(await asked.reply, clocks.now() - began)

    async def close(self) -> None:
        """Close the connections; batches whose answers were handed on are done with."""
        for batch in sorted(self._delivered):
            self._book.end(batch)
        await super().close()

    async def _collect(self) -> None:
        while self._waiting:
            before = -1
            while before != len(self._waiting) and len(self._waiting) < MOST:
                before = len(self._waiting)
                await asyncio.sleep(QUIET_S)
            part = self._cut()
            try:
                await self._answer(part)
            except (RequestFailed, UserError) as error:
                for one in part:
                    if not one.reply.done():
                        one.reply.set_exception(error)

    def _cut(self) -> list[Asked]:
        """The next batch: of one path, and not too large."""
        part: list[Asked] = []
        size = 0
        for one in self._waiting:
            size += len(json.dumps(one.body))
            if len(part) == MOST or (part and (one.path != part[0].path or size > MOST_BYTES)):
                break
            part.append(one)
        self._waiting = self._waiting[len(part) :]
        return part

    async def _answer(self, part: Sequence[Asked]) -> None:
        known: dict[str, list[Asked]] = {}
        fresh: list[Asked] = []
        for one in part:
            batch = self._book.batch_of(one.name)
            (fresh if batch is None else known.setdefault(batch, [])).append(one)
        for batch, those in known.items():
            try:
                await self._deliver(batch, those)
            except RequestFailed as error:
                if error.status != 404:
                    raise
                self._book.end(batch)  # of another account, or too old
                fresh += those
        if fresh:
            batch = await self._submit(fresh)
            self._book.begin(batch, [one.name for one in fresh])
            await self._deliver(batch, fresh)

    async def _deliver(self, batch: str, those: Sequence[Asked]) -> None:
        """Wait for the batch, and hand its results on."""
        results = await self._results(batch)
        self._delivered.add(batch)
        for one in those:
            found = results.get(one.name)
            if isinstance(found, RequestFailed):
                one.reply.set_exception(found)
            elif found is None:
                one.reply.set_exception(RequestFailed(f"the batch {batch} ended without an answer to this request"))
            else:
                one.reply.set_result(found)

    async def _submit(self, part: Sequence[Asked]) -> str:
        if self._protocol == "anthropic":
            made = await self.post(
                "/messages/batches", {"requests": [{"custom_id": one.name, "params": one.body} for one in part]}
            )
        else:
            endpoint = f"/v1{part[0].path}"
            lines = "\n".join(
                json.dumps({"custom_id": one.name, "method": "POST", "url": endpoint, "body": one.body}) for one in part
            )
            file = await self.upload("/files", {"purpose": "batch"}, "batch.jsonl", lines.encode())
            made = await self.post(
                "/batches", {"input_file_id": _id(file), "endpoint": endpoint, "completion_window": "24h"}
            )
        return _id(made)

    async def _results(self, batch: str) -> dict[str, Any]:
        """What came back for each request, once the batch has ended: replies, and failures."""
        anthropic = self._protocol == "anthropic"
        path = f"/messages/batches/{batch}" if anthropic else f"/batches/{batch}"
        while True:
            state = await self.get(path)
            status = str(state.get("processing_status" if anthropic else "status")) if isinstance(state, dict) else ""
            if status == "ended" or (not anthropic and status in ("completed", "expired", "cancelled")):
                break
            if status == "failed":
                self._book.end(batch)
                raise UserError(f"the batch {batch} was refused: {self.clean(_why(state))}")
            if self.stopped():
                raise LimitReached(
                    f"stopped waiting for the batch {batch}, which goes on: resumed, the run takes its answers"
                )
            await asyncio.sleep(self._poll)
        if anthropic:
            files = [f"{path}/results"]
        else:
            names = [state.get("output_file_id"), state.get("error_file_id")]
            files = [f"/files/{_plain(one)}/content" for one in names if one]
        found: dict[str, Any] = {}
        for file in files:
            for line in await self.lines(file):
                name, reply = self._result(line)
                found[name] = reply
        return found

    def _result(self, line: Any) -> tuple[str, Any]:
        if not isinstance(line, Mapping):
            return "", RequestFailed("a line of the batch's results is no object")
        name = str(line.get("custom_id"))
        if self._protocol == "anthropic":
            result = line.get("result")
            kind = result.get("type") if isinstance(result, Mapping) else None
            if kind == "succeeded" and isinstance(result, Mapping):
                return name, result.get("message")
            error = result.get("error") if isinstance(result, Mapping) else None
            return name, self._failure(error, 0, f"the request was {self.clean(kind, 20)}")
        response = line.get("response")
        status = response.get("status_code") if isinstance(response, Mapping) else 0
        body = response.get("body") if isinstance(response, Mapping) else None
        if status == 200 and body is not None:
            return name, body
        return name, self._failure(body or line.get("error"), status if isinstance(status, int) else 0, "it failed")

    def _failure(self, reply: Any, status: int, otherwise: str) -> RequestFailed:
        """An error as a request of its own would have raised it."""
        error = told(reply, always=True) if reply else None
        if error is None:
            return RequestFailed(f"in its batch {otherwise}")
        status = status or error.status
        shown = f"HTTP {status}: " if status else ""
        return RequestFailed(
            f"{shown}{self.clean(error.message)}", status, None, status in RETRIED, error.param, code=error.code
        )


def _id(made: Any) -> str:
    """The id of what was made."""
    found = made.get("id") if isinstance(made, Mapping) else None
    if not isinstance(found, str):
        raise RequestFailed("the server's reply has no id")
    return _plain(found)


def _plain(name: Any) -> str:
    """An id that can be a part of a path."""
    text = str(name)
    if not text or len(text) > 200 or not all(sign.isalnum() or sign in "-_" for sign in text):
        raise RequestFailed("the server's id is none that can be asked for")
    return text


def _why(state: Mapping[str, Any]) -> str:
    errors = state.get("errors")
    rows = errors.get("data") if isinstance(errors, Mapping) else None
    first = rows[0] if isinstance(rows, list) and rows else errors
    return str(first.get("message") if isinstance(first, Mapping) else first or "no reason is told")
