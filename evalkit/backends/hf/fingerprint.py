"""The identity of a model's weights and tokenizer: file contents, hashed once and remembered by size and time."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

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
    note = cache_dir() / "hashes" / f"{digest([str(path.resolve()), status.st_size, status.st_mtime_ns])}.json"
    try:
        return str(parse_json(note.read_bytes())["sha256"])
    except (OSError, ValueError, KeyError):
        pass
    with path.open("rb") as file:
        value = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({"sha256": value}))
    except OSError:
        pass  # a read-only cache costs time, not correctness
    return value


def fingerprint(weights: Any, **settings: Any) -> str:
    """The model's fingerprint: its weights (a commit or file hashes) and every setting that can change an answer."""
    return digest({"weights": weights, **settings})
