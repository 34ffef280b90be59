"""Where the shipped folders (tasks, reports, leaderboards) and the caches live."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def share(folder: str) -> Path:
    """A shipped folder: inside the installed wheel, or at the root of a source checkout."""
    package = Path(__file__).parents[1]
    installed = package / "_share" / folder
    return installed if installed.is_dir() else package.parent / folder


def cache_dir() -> Path:
    """Evalkit's cache: $EVALKIT_CACHE, else the system's folder for a user's caches ($XDG_CACHE_HOME or ~/.cache on
    Linux, ~/Library/Caches on macOS, %LOCALAPPDATA% on Windows).

    Version 0.1 used ~/.cache everywhere: a folder that stands there, where the system's own does not, is still used.
    """
    if override := os.environ.get("EVALKIT_CACHE"):
        return Path(override)
    own = platformdirs.user_cache_path("evalkit", appauthor=False)
    earlier = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "evalkit"
    return earlier if earlier.is_dir() and not own.is_dir() else own
