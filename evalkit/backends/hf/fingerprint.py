"""The identity of a model's weights and tokenizer: file contents, hashed once and remembered by size and time."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.store import kept
from evalkit.store.files import write_json
from evalkit.store.identity import digest
from evalkit.store.paths import cache_dir
from evalkit.text.reading import parse_json

WEIGHTS = (".safetensors", ".bin", ".gguf", ".pt", ".pth")


def folder_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 by file name of everything in a model folder that can change an answer."""
    names = sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and (path.suffix in WEIGHTS or path.suffix in (".json", ".model", ".jinja", ".txt"))
    )
    return {path.name: file_hash(path) for path in names}


def file_hash(path: Path) -> str:
    """SHA-256 of a file, remembered under the cache folder by its path, size and modification time."""
    status = path.stat()
    note = cache_dir() / kept.HASHES / f"{digest([str(path.resolve()), status.st_size, status.st_mtime_ns])}.json"
    try:
        value = str(parse_json(note.read_bytes())["sha256"])
        kept.used(note)
        return value
    except (OSError, ValueError, KeyError):
        pass
    with path.open("rb") as file:
        value = hashlib.file_digest(file, "sha256").hexdigest()
    with suppress(UserError):  # a read-only cache costs time, not correctness
        write_json(note, {"sha256": value})
    return value


def fingerprint(weights: Any, **settings: Any) -> str:
    """The model's fingerprint: its weights (a commit or file hashes) and every setting that can change an answer."""
    return digest({"weights": weights, **settings})
