"""Derived bytes kept between processes in evalkit's cache: made once, read back whole or made again.

A name must say everything that the bytes depend on (versions, a hash of what they were made from): nothing here grows
stale. Writers rename a file that is complete, so any number of processes may read and write at once; a cache that
cannot be read or written only costs the time of making the bytes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from evalkit.contract.errors import UserError
from evalkit.store.files import replacing
from evalkit.store.paths import cache_dir

DIGEST = hashlib.sha256().digest_size
FOLDER = "derived"


def kept(name: str, make: Callable[[], bytes]) -> bytes:
    """The bytes of ``name`` (a relative path), from the cache where they are whole there, else from ``make``."""
    path = cache_dir() / FOLDER / name
    found = read(path)
    if found is None:
        found = make()
        write(path, found)
    return found


def read(path: Path, own: bool = False) -> bytes | None:
    """What `write` left at ``path``; None where nothing is, or not what was written.

    ``own``: only from a file of this user that nobody else may write (for what will be executed).
    """
    try:
        with path.open("rb") as file:
            if own and not _own(file.fileno()):
                return None
            content = file.read()
    except OSError:
        return None
    digest, value = content[:DIGEST], content[DIGEST:]
    return value if hashlib.sha256(value).digest() == digest else None


def write(path: Path, value: bytes) -> None:
    """Keep ``value``, with its SHA-256 before it; where that cannot be done, nothing happens."""
    with suppress(UserError), replacing(path) as temporary:
        temporary.write_bytes(hashlib.sha256(value).digest() + value)
        temporary.chmod(0o644)


def _own(descriptor: int) -> bool:
    """Whether the open file belongs to this user and only this user may write it."""
    if not hasattr(os, "geteuid"):
        return False
    state = os.fstat(descriptor)
    return state.st_uid == os.geteuid() and not state.st_mode & 0o022
