"""File locks that the operating system releases when their holder dies, however it dies."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Literal

import portalocker

from evalkit.contract.errors import UserError
from evalkit.text.reading import parse_json


class Held(Exception):
    """Another process holds the lock."""


class FileLock:
    """A lock on ``path``: "shared" by many or "exclusive" to one. Taken at construction, or `Held` is raised.

    An exclusive holder writes who it is into the file, for `holder` of another process.
    """

    def __init__(self, path: Path, mode: Literal["shared", "exclusive"] = "exclusive") -> None:
        try:
            self._file: FileIO | None = path.open("ab+", buffering=0)
        except OSError as error:
            raise UserError(
                f"{path}: cannot be opened for locking ({error.strerror}): check the folder's rights"
            ) from None
        flags = portalocker.LockFlags.NON_BLOCKING
        flags |= portalocker.LockFlags.SHARED if mode == "shared" else portalocker.LockFlags.EXCLUSIVE
        try:
            portalocker.lock(self._file, flags)
        except portalocker.AlreadyLocked:
            self._file.close()
            raise Held(holder(path)) from None
        except portalocker.LockException as error:
            self._file.close()
            raise UserError(f"{path}: this file system cannot lock files ({error}): use another folder") from None
        if mode == "exclusive":
            try:
                self._sign()
            except OSError as error:
                self.release()
                raise UserError(
                    f"{path}: cannot be written ({error.strerror}): check free space and rights, then run the same "
                    "command again"
                ) from None

    def _sign(self) -> None:
        assert self._file is not None
        who = {
            "pid": os.getpid(),
            "host": platform.node(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self._file.truncate(0)
        self._file.write(json.dumps(who).encode())

    def release(self) -> None:
        """Let go; again is no harm."""
        if self._file is not None:
            self._file.close()  # closing releases the lock
            self._file = None


def take(path: Path, refusal: Callable[[str], str], mode: Literal["shared", "exclusive"] = "exclusive") -> FileLock:
    """A lock on ``path``. Raises UserError with what ``refusal`` makes of the holder if another process has it."""
    try:
        return FileLock(path, mode)
    except Held as held:
        raise UserError(refusal(str(held))) from None


def holder(path: Path) -> str:
    """ "process 12 on HOST since TIME", as the exclusive holder signed."""
    try:
        who = parse_json(path.read_bytes())
        return f"process {int(who['pid'])} on {who['host']} since {who['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
