"""Old places of what plug-ins import: they work and say where the thing is now."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def moved(old: str, new: str, renamed: Mapping[str, str] | None = None, stacklevel: int = 2) -> Callable[[str], Any]:
    """A module's ``__getattr__``: names of the module ``old`` come from ``new``, where ``renamed`` gives their names.

    Each use is a DeprecationWarning at the line that imports it; unknown names are AttributeErrors.
    """

    def lookup(name: str) -> Any:
        now = (renamed or {}).get(name, name)
        if name.startswith("__") or not hasattr(import_module(new), now):
            raise AttributeError(f"module {old!r} has no attribute {name!r}")
        text = f"{old}.{name} has moved: import {now} from {new}"
        warnings.warn(text, DeprecationWarning, stacklevel=stacklevel)
        return getattr(import_module(new), now)

    return lookup
