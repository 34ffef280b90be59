"""Answers shared between runs: `--cache DIR`, and `evalkit cache stats|verify|prune`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from evalkit.contract.errors import UserError
from evalkit.contract.store import ResponseStore
from evalkit.contract.types import Response
from evalkit.store import codec, salvage
from evalkit.store.answers import AnswerFile, Damaged, log
from evalkit.store.locks import FileLock, take

FILE = "answers.sqlite"
LOCK = "cache.lock"
_SLICE = 10_000


class ResponseCache(AnswerFile):
    """Answers in ``folder``, for any number of processes at once. Keys carry the whole identity of a request, so one
    cache serves all models. Only "ok" answers are kept.

    synchronous=NORMAL: a power cut may lose the last commits, which are computed again; the file stays sound.
    """

    def __init__(self, folder: Path, interval: float = 1.0) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"{folder}: cannot be made a cache folder ({error.strerror}): give --cache another"
            ) from None
        self.folder = folder
        self.hits = 0
        self.misses = 0
        # Every user holds it shared, so that a repair knows when nobody else has the file open: renaming a SQLite
        # file that another process uses would destroy both.
        self._users = _shared(folder)
        try:
            self._open(interval)
        except Damaged as damage:
            self._users.release()
            _repair(folder, str(damage))
            self._users = _shared(folder)
            self._open(interval)

    def _open(self, interval: float) -> None:
        super().__init__(
            self.folder / FILE,
            what="cache",
            advice="stop the runs that use it, then run: evalkit cache verify",
            exclusive=False,
            synchronous="NORMAL",
            keep_failures=False,
            interval=interval,
        )

    def get(self, keys: Iterable[str]) -> Mapping[str, Response]:
        """As `AnswerFile.get`, counting hits and misses."""
        asked = list(keys)
        found = super().get(asked)
        self.hits += len(found)
        self.misses += len(asked) - len(found)
        return found

    def put(self, key: str, response: Response) -> None:
        """As `AnswerFile.put`; what is not "ok" is not kept."""
        if response.status == "ok":
            super().put(key, response)

    def close(self) -> None:
        """As `AnswerFile.close`."""
        try:
            super().close()
        finally:
            self._users.release()

    def stats(self) -> dict[str, Any]:
        """Answers, size in bytes, and when the oldest and the newest were written (seconds since 1970)."""
        self.flush()
        count, oldest, newest = self._query("SELECT count(*), min(written_at), max(written_at) FROM answers")[0]
        size = sum(f.stat().st_size for f in self.folder.glob(FILE + "*"))
        return {"folder": str(self.folder), "answers": count, "bytes": size, "oldest": oldest, "newest": newest}

    def verify(self) -> list[str]:
        """Problems found in the file, each a line. Damaged rows are removed and a damaged file is rebuilt from its
        whole rows, so that what was lost is computed again. Raises UserError if others use a damaged file.
        """
        try:
            self.flush()
            sound = str(self._query("PRAGMA integrity_check(1)")[0][0])
        except UserError as error:
            sound = str(error)
        if sound != "ok":
            with suppress(UserError):
                AnswerFile.close(self)
            self._users.release()
            kept = _repair(self.folder, sound)
            self._users = _shared(self.folder)
            self._open(self._interval)
            return [f"{self.path}: was damaged ({sound}) and is rebuilt with the {kept} answers that were whole"]
        problems, last = [], -1
        select = f"SELECT rowid, key, proof, response FROM answers WHERE rowid > ? ORDER BY rowid LIMIT {_SLICE}"
        while rows := self._query(select, (last,)):
            last = rows[-1][0]
            for rowid, key, proof, packed in rows:
                if not _whole(key, proof, packed):
                    self._query("DELETE FROM answers WHERE rowid = ?", (rowid,))
                    problems.append(f"{self.path}: answer {rowid} was damaged and is removed")
        return problems

    def prune(self, max_age: float | None = None, max_size: int | None = None) -> int:
        """Remove answers older than ``max_age`` seconds, then the oldest until the answers take at most ``max_size``
        bytes. Returns how many went; the file shrinks unless another process is using it.
        """
        self.flush()
        before = self.count()
        if max_age is not None:
            self._query("DELETE FROM answers WHERE written_at < ?", (time.time() - max_age,))
        if max_size is not None:
            self._shrink(max_size)
        removed = before - self.count()
        if removed:
            with suppress(UserError):  # another process is reading: the space is reused instead
                self._query("VACUUM")
                self._query("PRAGMA wal_checkpoint(TRUNCATE)")
        return removed

    def _shrink(self, max_size: int) -> None:
        # A row costs its response, the key twice (table and index), proof, time and about 30 bytes of headers.
        cost = "length(response) + 2 * 32 + 8 + 8 + 30"
        query = (
            f"DELETE FROM answers WHERE rowid IN (SELECT rowid FROM (SELECT rowid, "
            f"sum({cost}) OVER (ORDER BY written_at DESC, rowid DESC) AS total FROM answers) WHERE total > ?)"
        )
        self._query(query, (max_size,))


class Chained:
    """A run's journal in front of a cache: what the cache knows is copied into the journal, what is computed goes
    to both.
    """

    def __init__(self, journal: ResponseStore, cache: ResponseStore) -> None:
        self.journal = journal
        self.cache = cache

    def get(self, keys: Iterable[str]) -> Mapping[str, Response]:
        """Answers of the journal, then of the cache."""
        asked = list(keys)
        found = dict(self.journal.get(asked))
        missing = [key for key in asked if key not in found]
        if missing:
            for key, response in self.cache.get(missing).items():
                if response.usage is not None and response.usage.cost:  # another run has paid it
                    response = replace(response, usage=replace(response.usage, cost=0.0))
                self.journal.put(key, response)
                found[key] = response
        return found

    def put(self, key: str, response: Response) -> None:
        """To both."""
        self.journal.put(key, response)
        self.cache.put(key, response)

    def flush(self) -> None:
        """Wait until both have committed."""
        for book in (self.journal, self.cache):
            if isinstance(book, AnswerFile):
                book.flush()

    def close(self) -> None:
        """Close both, the second even if the first fails."""
        try:
            if isinstance(self.journal, AnswerFile):
                self.journal.close()
        finally:
            if isinstance(self.cache, AnswerFile):
                self.cache.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except UserError:
            if kind is None:
                raise


def _whole(key: Any, proof: Any, packed: Any) -> bool:
    return isinstance(key, bytes) and codec.unpack(key, proof, packed) is not None


def _shared(folder: Path) -> FileLock:
    return take(
        folder / LOCK, lambda who: f"{folder}: the cache is being repaired by {who}: try again in a moment", "shared"
    )


def _repair(folder: Path, damage: str) -> int:
    """Set the damaged file aside and take its whole rows over, while nobody else has the cache open; how many."""
    lock = take(
        folder / LOCK,
        lambda who: (
            f"{folder}: the cache is damaged ({damage}) and other processes use it: stop them and run again, "
            "what is whole in it will be recovered"
        ),
    )
    try:
        aside = salvage.set_aside(folder / FILE)
        fresh = AnswerFile(
            folder / FILE, what="cache", advice="remove it", exclusive=False, synchronous="NORMAL", keep_failures=False
        )
        with fresh:
            for key, proof, packed in salvage.rows(aside):
                response = codec.unpack(key, proof, packed)
                if response is not None and response.status == "ok":
                    fresh.put(key.hex(), response)
            fresh.flush()
            kept = fresh.count()
        log.warning(
            "%s: the cache was damaged (%s): %d answers recovered; kept as %s", folder, damage, kept, aside.name
        )
        return kept
    finally:
        lock.release()
