"""Derived bytes kept between processes in evalkit's cache: made once, read back whole or made again.

A name must say everything that the bytes depend on (versions, a hash of what they were made from): nothing here grows
stale. Writers rename a file that is complete, so any number of processes may read and write at once; a cache that
cannot be read or written only costs the time of making the bytes.

Token ids of prompts and hashes of files lie beside them, each in its own form; `FOLDERS` names all that
`evalkit cache` lists and prunes.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

from evalkit.contract.errors import UserError
from evalkit.store.files import replacing
from evalkit.store.paths import cache_dir

DIGEST = hashlib.sha256().digest_size
FOLDER = "derived"
ENCODINGS = "encodings"
HASHES = "hashes"
FOLDERS = {"token ids": ENCODINGS, "templates": FOLDER, "hashes of files": HASHES}
"""What is kept, and in which folder of the cache."""

LIMIT = 2_000_000_000
"""Bytes that token ids may take, and all kinds together where `evalkit cache prune` is given no size."""

STALE_S = 3600.0
"""A temporary file this old belongs to a process that died."""


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
    if hashlib.sha256(value).digest() != digest:
        return None
    used(path)
    return value


def write(path: Path, value: bytes) -> None:
    """Keep ``value``, with its SHA-256 before it; where that cannot be done, nothing happens."""
    with suppress(UserError), replacing(path) as temporary:
        temporary.write_bytes(hashlib.sha256(value).digest() + value)
        temporary.chmod(0o644)


def folders() -> dict[str, Path]:
    """The folder of every kind that is kept."""
    return {kind: cache_dir() / name for kind, name in FOLDERS.items()}


def encodings_dir() -> Path | None:
    """Where token ids of prompts are kept between runs; None where $EVALKIT_ENCODINGS is "off"."""
    return None if os.environ.get("EVALKIT_ENCODINGS") == "off" else cache_dir() / ENCODINGS


def used(path: Path) -> None:
    """Note that a file was of use just now: it goes last."""
    with suppress(OSError):
        os.utime(path)


def stats(folder: Path) -> dict[str, int]:
    """Files and bytes kept in ``folder``."""
    sizes = [size for _, size, _ in _files(folder)]
    return {"files": len(sizes), "bytes": sum(sizes)}


def shrink(places: Iterable[Path], max_size: int, max_age: float | None = None) -> int:
    """Remove from these folders what was not used for ``max_age`` seconds, then what was not used for longest until
    ``max_size`` bytes are left in all of them; how many files went.
    """
    now = time.time()
    places = list(places)
    removed, total = 0, 0
    for last, size, path in sorted((one for folder in places for one in _files(folder)), reverse=True):
        total += size
        if total > max_size or (max_age is not None and now - last > max_age):
            with suppress(OSError):
                path.unlink()
                removed += 1
    for path in (path for folder in places for path in folder.rglob(".*.tmp-*")):
        with suppress(OSError):
            if now - path.stat().st_mtime > STALE_S:
                path.unlink()
    return removed


def _files(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """(last use in seconds since 1970, bytes, path) of every kept file; another process may be removing some."""
    for path in folder.rglob("*"):
        with suppress(OSError):
            status = path.stat()
            if S_ISREG(status.st_mode) and not path.name.startswith("."):
                yield status.st_mtime, status.st_size, path


def _own(descriptor: int) -> bool:
    """Whether the open file belongs to this user and only this user may write it."""
    if not hasattr(os, "geteuid"):
        return False
    state = os.fstat(descriptor)
    return state.st_uid == os.geteuid() and not state.st_mode & 0o022
