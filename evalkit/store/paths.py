"""Where the shipped folders (tasks, reports, leaderboards) and the caches live."""

from __future__ import annotations

import os
from pathlib import Path


def share(folder: str) -> Path:
    """A shipped folder: inside the installed wheel, or at the root of a source checkout."""
    package = Path(__file__).parents[1]
    installed = package / "_share" / folder
    return installed if installed.is_dir() else package.parent / folder


def cache_dir() -> Path:
    """Evalkit's cache: $EVALKIT_CACHE, else $XDG_CACHE_HOME/evalkit, else ~/.cache/evalkit."""
    if override := os.environ.get("EVALKIT_CACHE"):
        return Path(override)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "evalkit"


def encodings_dir() -> Path | None:
    """Where token ids of prompts are kept between runs; None where $EVALKIT_ENCODINGS is "off"."""
    return None if os.environ.get("EVALKIT_ENCODINGS") == "off" else cache_dir() / "encodings"
