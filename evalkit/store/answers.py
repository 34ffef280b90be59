"""Answers by request key in one SQLite file: the machinery that the journal and the cache share.

``put`` only hands the answer to a writer thread, which commits in batches: every second, or every 2,000 answers. So
a process that is killed loses at most the last second of answers, and the model never waits for a disk.
"""

from __future__ import annotations

import logging
import math
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from evalkit.contract.errors import UserError
from evalkit.contract.types import Response
from evalkit.store import codec

log = logging.getLogger("evalkit.store")

SCHEMA = "1"
BATCH = 2_000
INTERVAL = 1.0
"""Seconds between commits while answers come."""
MAX_PENDING = 10_000
"""Answers waiting to be written; beyond, ``put`` waits, which bounds memory."""
CHUNK = 2_000
"""Keys asked for in one query."""

# Column order matters to codec.scan: key, proof and response lie side by side in the file.
_TABLES = """
CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, proof BLOB, response BLOB, written_at REAL);
CREATE TABLE IF NOT EXISTS failures (key BLOB PRIMARY KEY, proof BLOB, response BLOB, written_at REAL);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT);
"""
_INSERT = "INSERT OR REPLACE INTO {} (key, proof, response, written_at) VALUES (?, ?, ?, ?)"

Pending = dict[bytes, Response]
Row = tuple[bytes, bytes, bytes, float]


class Damaged(Exception):
    """The file is no longer a sound SQLite database."""


_SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
# A broken schema's text stands in SQLite's message about it, which Python then cannot decode.


def is_damage(error: Exception) -> bool:
    """Whether the file itself is broken (as opposed to a full disk, a lock or missing rights)."""
    if isinstance(error, UnicodeDecodeError):
        return True
    full_code = getattr(error, "sqlite_errorcode", None) or 0
    if full_code == sqlite3.SQLITE_IOERR_SHORT_READ:
        return True
    if isinstance(error, sqlite3.ProgrammingError):  # a mistake of ours, such as a closed connection
        return False
    code = full_code & 0xFF
    outside = {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_INTERRUPT,
    }
    return isinstance(error, sqlite3.DatabaseError) and code not in outside


def _prepare(connection: sqlite3.Connection, exclusive: bool, synchronous: str) -> None:
    # Large pages: fewer of them to write a batch, and longer rows in one piece for codec.scan. New files only.
    connection.execute("PRAGMA page_size=8192")
    if exclusive:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.execute("PRAGMA wal_autocheckpoint=2000")
    connection.execute("PRAGMA cache_size=-65536")
    connection.executescript(_TABLES)
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('schema', ?)", (SCHEMA,))
    if exclusive:
        sound = connection.execute("PRAGMA quick_check(1)").fetchone()
        if sound is None or sound[0] != "ok":
            raise sqlite3.DatabaseError(f"quick_check: {sound and sound[0]}")


class AnswerFile:
    """An `evalkit.contract.store.ResponseStore` over one SQLite file in WAL mode. Safe to call from any thread.

    ``exclusive``: this process alone uses the file (no shared memory file, so network file systems will do).
    ``synchronous``: FULL syncs the disk at every commit, so that commits outlive a power cut; NORMAL only at
    checkpoints, where a power cut loses the last commits but never the file.
    Only responses with status "ok" are answers; the others are kept apart, as `failures`, until an answer comes.
    """

    def __init__(
        self,
        path: Path,
        *,
        what: str,
        advice: str,
        exclusive: bool,
        synchronous: Literal["FULL", "NORMAL"],
        keep_failures: bool = True,
        interval: float = INTERVAL,
    ) -> None:
        self.path = path
        self.what = what
        self.damaged = 0
        """Rows met whose proof did not match; each was treated as missing."""
        self.written = 0
        self._advice = advice
        self._keep_failures = keep_failures
        self._interval = interval
        self._database = threading.RLock()
        self._wake = threading.Condition()
        self._pending: Pending = {}
        self._writing: Pending = {}
        self._flushing = 0
        self._closed = False
        self._error: UserError | None = None
        self._connection = self._connect(exclusive, synchronous)
        self._thread = threading.Thread(target=self._write_loop, name=f"evalkit {what}", daemon=True)
        self._thread.start()

    # -- ResponseStore -------------------------------------------------------------------------------------------------

    def get(self, keys: Iterable[str]) -> Mapping[str, Response]:
        """The answers that are there, by key, those not yet on disk included. Raises UserError on a damaged file."""
        found: dict[str, Response] = {}
        chunk: dict[bytes, str] = {}
        for key in keys:
            chunk[codec.key_bytes(key)] = key
            if len(chunk) >= CHUNK:
                self._get_chunk(chunk, found)
                chunk = {}
        if chunk:
            self._get_chunk(chunk, found)
        return found

    def put(self, key: str, response: Response) -> None:
        """Keep one answer; returns at once unless the writer is far behind.

        Raises UserError if an earlier write failed, ValueError for a number that is not finite in an "ok" answer.
        """
        raw = codec.key_bytes(key)
        value = response.loglikelihood
        if value is not None and not math.isfinite(value):
            raise ValueError(f"a log-likelihood of {value} is an error, not an answer: give status error and a reason")
        with self._wake:
            while len(self._pending) >= MAX_PENDING and self._error is None and not self._closed:
                self._wake.wait()
            self._raise_if_unusable()
            if response.status == "ok" or raw not in self._pending:  # an error never takes the place of an answer
                self._pending[raw] = response
            if len(self._pending) == BATCH or len(self._pending) >= MAX_PENDING:
                self._wake.notify_all()

    def flush(self) -> None:
        """Wait until all that was put is committed. Raises UserError if it could not be."""
        with self._wake:
            self._raise_if_unusable()
            self._flushing += 1
            self._wake.notify_all()
            while (self._pending or self._writing) and self._error is None:
                self._wake.wait()
            self._flushing -= 1
            if self._error is not None:
                raise self._error

    def close(self) -> None:
        """Commit and close. Raises UserError if the last answers could not be written."""
        with self._wake:
            if self._closed:
                return
            self._closed = True
            self._wake.notify_all()
        self._thread.join()
        try:
            self._connection.close()
        except sqlite3.Error as error:
            self._error = self._error or self._failure(error)
        if self._error is not None:
            raise self._error

    # -- beyond the protocol ----------------------------------------------------------------------------------------

    def failures(self) -> dict[str, Response]:
        """Errors and unscored responses by key, for which no answer came since."""
        self.flush()
        rows = self._query("SELECT key, proof, response FROM failures")
        found = {}
        for key, proof, packed in rows:
            if (response := codec.unpack(key, proof, packed)) is not None:
                found[key.hex()] = response
        return found

    def count(self) -> int:
        """Answers on disk. Not ``__len__``: an empty book must not be false."""
        return int(self._query("SELECT count(*) FROM answers")[0][0])

    def meta(self, name: str) -> str | None:
        """A value of the file's meta table."""
        rows = self._query("SELECT value FROM meta WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else None

    def set_meta(self, name: str, value: str) -> None:
        """Write a value of the file's meta table."""
        self._query("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except UserError:
            if kind is None:  # else the error under way says more
                raise

    # -- inside -----------------------------------------------------------------------------------------------------

    def _connect(self, exclusive: bool, synchronous: str) -> sqlite3.Connection:
        if self.path.exists() and not os.access(self.path, os.R_OK | os.W_OK):
            raise UserError(f"{self.path}: {self.what} cannot be written: check the rights of the file and its folder")
        # Two processes that make one cache at the same moment: turning WAL on does not wait for the other by itself.
        deadline = time.monotonic() + (0 if exclusive else 60)
        while True:
            connection = None
            try:
                connection = sqlite3.connect(
                    self.path, timeout=1 if exclusive else 60, isolation_level=None, check_same_thread=False
                )
                _prepare(connection, exclusive, synchronous)
                return self._checked(connection)
            except _SQLITE_ERRORS as error:
                if connection is not None:
                    connection.close()
                if is_damage(error):
                    raise Damaged(str(error)) from error
                busy = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() >= deadline:
                    raise self._failure(error) from None
                time.sleep(0.05)

    def _checked(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        row = connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
        if row is None or row[0] != SCHEMA:
            connection.close()
            raise UserError(
                f"{self.path}: {self.what} of schema {row and row[0]!r}, this evalkit reads {SCHEMA!r}: "
                "use the version of evalkit that wrote it"
            )
        return connection

    def _query(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            with self._database:
                return self._connection.execute(sql, values).fetchall()
        except _SQLITE_ERRORS as error:
            raise self._failure(error) from None

    def _get_chunk(self, chunk: dict[bytes, str], found: dict[str, Response]) -> None:
        # Memory before disk: an answer moves from the one to the other, so the other order could miss it.
        with self._wake:
            waiting = [(raw, book[raw]) for book in (self._writing, self._pending) for raw in chunk if raw in book]
        marks = ",".join("?" * len(chunk))
        rows = self._query(f"SELECT key, proof, response FROM answers WHERE key IN ({marks})", tuple(chunk))
        for key, proof, packed in rows:
            stored = codec.unpack(key, proof, packed)
            if stored is None:
                self.damaged += 1
            elif key in chunk:
                found[chunk[key]] = stored
        for raw, response in waiting:
            if response.status == "ok":
                found[chunk[raw]] = response

    def _write_loop(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(self._due, timeout=self._interval)
                if self._closed and not self._pending:
                    return
                self._writing, self._pending = self._pending, {}
                self._wake.notify_all()
            try:
                if self._writing:
                    self.commit(self._writing)
                    self.written += len(self._writing)
            except Exception as error:
                with self._wake:
                    self._error = self._failure(error)
                    self._wake.notify_all()
                return
            with self._wake:
                self._writing = {}
                self._wake.notify_all()

    def _due(self) -> bool:
        return (
            self._closed
            or len(self._pending) >= min(BATCH, MAX_PENDING)
            or (self._flushing > 0 and bool(self._pending))
        )

    @property
    def waiting(self) -> int:
        """Answers that are not yet handed to the writer."""
        return len(self._pending)

    def commit(self, batch: Pending) -> None:
        """Write a batch in one transaction."""
        now = time.time()
        answers: list[Row] = []
        failures: list[Row] = []
        for key, response in batch.items():
            packed = codec.pack(response)
            row = (key, codec.check(key, packed), packed, now)
            (answers if response.status == "ok" else failures).append(row)
        answers.sort()  # neighbours in the index are written together
        with self._database:
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.executemany(_INSERT.format("answers"), answers)
                if self._keep_failures:
                    self._commit_failures(connection, [row[:1] for row in answers], failures)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _commit_failures(
        self,
        connection: sqlite3.Connection,
        answered: list[tuple[bytes]],
        failures: list[Row],
    ) -> None:
        if connection.execute("SELECT 1 FROM failures LIMIT 1").fetchone():
            connection.executemany("DELETE FROM failures WHERE key = ?", answered)
        for row in failures:
            if not connection.execute("SELECT 1 FROM answers WHERE key = ?", row[:1]).fetchone():
                connection.execute(_INSERT.format("failures"), row)

    def _failure(self, error: Exception) -> UserError:
        if is_damage(error):
            return UserError(f"{self.path}: {self.what} is damaged ({error}): {self._advice}")
        return UserError(
            f"{self.path}: {self.what} could not be used ({error}): check free space, rights and file-size limits; "
            "what was written before is kept, so run the same command again"
        )

    def _raise_if_unusable(self) -> None:
        if self._error is not None:
            raise self._error
        if self._closed:
            raise UserError(f"{self.path}: {self.what} is closed")
