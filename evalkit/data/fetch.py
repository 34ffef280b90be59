"""Making a mirror: data sets from the Hub as JSON lines in a folder, for machines without a network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from evalkit.contract.errors import UserError
from evalkit.contract.types import DatasetRef
from evalkit.data.sources import HubSource
from evalkit.store.files import write_bytes
from evalkit.text.reading import read_json

MANIFEST = "manifest.json"


class Needed(Protocol):
    """What a task needs of a data set: any object with these attributes."""

    @property
    def id(self) -> str: ...
    @property
    def config(self) -> str | None: ...
    @property
    def revision(self) -> str | None: ...
    @property
    def splits(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """One config of one data set: the splits that tasks evaluate on and draw few-shot examples from."""

    id: str
    config: str | None
    revision: str | None
    splits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pulled:
    """One file of a mirror, as its manifest has it. ``path`` is relative to the mirror."""

    id: str
    config: str | None
    split: str
    revision: str | None
    rows: int
    sha256: str
    path: str


def pull(
    needed: Iterable[Needed], to: Path, progress: Callable[[Pulled, bool], None] | None = None
) -> tuple[Pulled, ...]:
    """Write every split of ``needed`` below ``to`` and list them in manifest.json; returns the list.

    A file that the manifest has with the same revision, and whose content still has its hash, is kept. Each file
    appears whole or not at all. ``progress`` is called with every file and whether it was there already. Raises
    UserError where the Hub does not answer, a split is not there, rows are no JSON, or the folder cannot be written.
    """
    try:
        to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{to}: the folder cannot be made: {error.strerror}") from error
    known = {entry.path: entry for entry in _read_manifest(to)}
    done: list[Pulled] = []
    for one, split in _each_once(needed):
        path = _path(one.id, one.config, split)
        entry = known.get(path)
        kept = entry is not None and entry.revision == one.revision and _hash_of(to / path) == entry.sha256
        if entry is None or not kept:
            entry = _fetch(one, split, to, path)
            known[path] = entry
            write_bytes(to / MANIFEST, _manifest(known.values()))
        done.append(entry)
        if progress is not None:
            progress(entry, kept)
    return tuple(done)


def load_rows(dataset: DatasetRef, split: str) -> Sequence[Mapping[str, Any]]:
    """Rows from the Hub."""
    return HubSource().load(dataset, split)


def _each_once(needed: Iterable[Needed]) -> list[tuple[Needed, str]]:
    """Every split once, in order. UserError where two tasks pin one data set to different revisions."""
    seen: dict[tuple[str, str | None, str], Needed] = {}
    for one in needed:
        for split in one.splits:
            first = seen.setdefault((one.id, one.config, split), one)
            if first.revision != one.revision:
                raise UserError(
                    f"data set {one.id}: tasks ask for two revisions, {first.revision} and {one.revision}; "
                    "pull them into two folders"
                )
    return [(one, split) for (_, _, split), one in seen.items()]


def _path(id: str, config: str | None, split: str) -> str:
    parts = [*id.split("/"), config or "default", split]
    if any(part in ("", ".", "..") or "\\" in part or "/" in part or "\0" in part for part in parts):
        raise UserError(f"data set {id}, config {config}, split {split}: not names that a mirror can hold")
    return "/".join(parts) + ".jsonl"


def _fetch(one: Needed, split: str, to: Path, path: str) -> Pulled:
    rows = load_rows(DatasetRef(one.id, one.config, one.revision), split)
    lines = []
    for number, row in enumerate(rows):
        try:
            lines.append(json.dumps(dict(row), ensure_ascii=False, default=_as_base64) + "\n")
        except TypeError as error:
            raise UserError(
                f"data set {one.id}, split {split}, row {number}: {error}; a mirror holds text, numbers and lists"
            ) from error
    content = "".join(lines).encode()
    write_bytes(to / path, content)
    return Pulled(one.id, one.config, split, one.revision, len(lines), hashlib.sha256(content).hexdigest(), path)


def _as_base64(value: Any) -> str:
    """A picture's bytes, as tasks read them back."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _hash_of(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_manifest(to: Path) -> list[Pulled]:
    path = to / MANIFEST
    if not path.is_file():
        return []
    listed = read_json(path, "manifest", "remove it to fetch everything again")
    try:
        return [Pulled(**entry) for entry in listed["files"]]
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: no manifest of a mirror ({error}); remove it to fetch everything again") from error


def _manifest(entries: Iterable[Pulled]) -> bytes:
    files = [asdict(entry) for entry in sorted(entries, key=lambda entry: entry.path)]
    return (json.dumps({"version": 1, "files": files}, indent=1, ensure_ascii=False) + "\n").encode()
