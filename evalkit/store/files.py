"""Files that are there whole or not at all, and names that stay inside their folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.text import reading


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to; on success it is synced and takes the place of ``path``.

    Raises UserError if it cannot be written; then ``path`` is as it was.
    """
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}-{threading.get_native_id()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise UserError(
            f"{path}: could not be saved ({error.strerror or error}): check free space, rights and file-size limits, "
            "then run the same command again"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system lets folders be synced."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_bytes(path: Path, content: bytes) -> None:
    """The whole file or nothing. Raises UserError if it cannot be saved."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Plain JSON values, indented, atomically. Raises UserError if it cannot be saved."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(clean(text) + "\n", encoding="utf-8")


def read_json(path: Path, what: str) -> Any:
    """What evalkit itself wrote into a run. Raises UserError naming file and line if it is missing or broken."""
    if not path.exists():
        raise UserError(f"{path}: no {what} here: give the folder of a run that has finished")
    return reading.read_json(path, what, "restore it or run again")


def safe_name(name: str) -> str:
    """``name`` as a file name: letters, digits and ``._-`` stay, the rest becomes ``_`` with a short hash behind it,
    so that no two names meet in one file.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:120]
    if safe == name and not name.startswith(".") and name.strip("."):
        return name
    return f"{safe.lstrip('.') or 'task'}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def clean(text: str) -> str:
    """``text`` with lone surrogates, which no UTF-8 file can hold, replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def plain(value: Any) -> Any:
    """``value`` in JSON's own types: dataclasses and mappings as objects, sequences and sets as lists, numpy values
    as Python's, dates as ISO text; a number that is not finite is null. Raises TypeError for anything else.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return value if value.isascii() else clean(value)
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    if isinstance(value, Mapping):
        return {clean(str(key)): plain(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(item) for item in value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, bytes):
        return value.hex()
    for convert in ("model_dump", "tolist", "isoformat"):
        if hasattr(value, convert) and not isinstance(value, type):
            return plain(getattr(value, convert)())
    raise TypeError(f"a value of type {type(value).__name__} cannot be saved as JSON")
