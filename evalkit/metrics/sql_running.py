"""Queries that a model wrote, run on SQLite databases in a process of its own (`evalkit.metrics.sql_worker`)."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import threading
import time
import weakref
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError

SECONDS = 10.0
"""That a query may take; the official scripts give 60 (Spider) and 10 (defog)."""
GRACE = 5.0
"""Seconds beyond, after which the process is ended from outside."""
MEMORY = 1 << 30
"""Bytes of address space."""
ROWS, BYTES = 200_000, 1 << 26
"""Of one result."""

Row = tuple[Any, ...]
_WORKER = Path(__file__).with_name("sql_worker.py")


@dataclass(frozen=True, slots=True)
class Database:
    """A SQLite file, or the statements that make a database in memory."""

    path: str | None = None
    script: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What a query gave: rows of values (None, int, float, str, bytes) under ``columns``, or why it failed."""

    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    error: str | None = None


class Runner:
    """One process, started when it is first needed and again after one that had to be ended."""

    def __init__(self, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self._limits = {"seconds": seconds, "memory": memory, "rows": ROWS, "bytes": BYTES}
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def run(self, database: Database, query: str) -> Result:
        """The result of one statement. Errors of the query are values; UserError where the database itself fails."""
        asked = {"path": database.path, "script": database.script, "query": query}
        with self._lock:
            line = self._ask(json.dumps(asked).encode() + b"\n")
        if line is None:
            return Result(error=f"it takes more than {self._limits['seconds']:g} seconds, or more memory than it may")
        answer = json.loads(line)
        if answer.get("database"):
            raise UserError(f"{database.path or 'a database in memory'}: cannot be opened: {answer['error']}")
        if "error" in answer:
            return Result(error=" ".join(str(answer["error"]).split())[:300])
        rows = tuple(tuple(_value(one) for one in row) for row in answer["rows"])
        return Result(tuple(answer["columns"]), rows)

    def _ask(self, line: bytes) -> bytes | None:
        process = self._process or self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        end = time.monotonic() + float(self._limits["seconds"]) + GRACE
        found = bytearray()
        try:
            process.stdin.write(line)
            process.stdin.flush()
            with selectors.DefaultSelector() as ready:
                ready.register(process.stdout, selectors.EVENT_READ)
                while not found.endswith(b"\n"):
                    left = end - time.monotonic()
                    part = os.read(process.stdout.fileno(), 1 << 16) if left > 0 and ready.select(left) else b""
                    if not part:
                        self._process = None
                        _end(process)
                        return None
                    found += part
        except BrokenPipeError:
            self._process = None
            _end(process)
            return None
        return bytes(found)

    def _started(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-I", str(_WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
        )
        self._process = process
        weakref.finalize(self, _end, process)
        assert process.stdin is not None
        process.stdin.write(json.dumps(self._limits).encode() + b"\n")
        return process


def _value(value: Any) -> Any:
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value


def _end(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError):  # it is gone already
                stream.close()
    process.kill()
    process.wait()


@cache
def runner() -> Runner:
    """The one of this process."""
    return Runner()


@lru_cache(maxsize=4096)
def known(database: Database, query: str) -> Result:
    """The result of a query that is asked again and again: a gold one."""
    return runner().run(database, query)
