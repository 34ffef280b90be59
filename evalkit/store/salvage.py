"""Saving what can be read from a damaged answer file. The file itself is kept aside, never overwritten."""

from __future__ import annotations

import mmap
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from evalkit.store import codec

Row = tuple[bytes, bytes, bytes]
_SUFFIXES = ("", "-wal", "-shm")


def set_aside(path: Path) -> Path:
    """Rename the file and its companions to ``NAME.corrupt-N``; the new path of the file."""
    number = 1
    while (aside := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    for suffix in _SUFFIXES:
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(aside.with_name(aside.name + suffix))
    return aside


def rows(aside: Path) -> Iterator[Row]:
    """Every whole row: first from the raw bytes of the file and its log, then by SQL, which also finds long rows.

    Rows prove themselves, so an unsound file cannot yield a wrong one; the same row may come more than once.
    """
    for suffix in ("", "-wal"):
        yield from _raw(aside.with_name(aside.name + suffix))
    for order in ("ASC", "DESC"):
        for table in ("answers", "failures"):
            yield from _sql(aside, table, order)


def _raw(path: Path) -> Iterator[Row]:
    if not path.exists() or path.stat().st_size == 0:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield from codec.scan(data)


def _sql(path: Path, table: str, order: str) -> Iterator[Row]:
    """The table from one end until SQLite gives up."""
    # immutable: neither the log is replayed nor anything written, the raw scan has seen the log.
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        query = f"SELECT key, proof, response FROM {table} NOT INDEXED ORDER BY rowid {order}"
        for key, proof, packed in connection.execute(query):
            if isinstance(key, bytes) and codec.unpack(key, proof, packed) is not None:
                yield key, proof, packed
    except (sqlite3.Error, ValueError):
        return
    finally:
        connection.close()
