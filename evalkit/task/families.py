"""Parametrised task names, PREFIX:ARGUMENT: "wmt22:de-en", "perplexity:FOLDER".

A family is an entry point in the group ``evalkit.task_families``: a function (name, catalog) -> Defined, called with
the whole name, that defines a task (or group) of that very name. Its entry point's name is the prefix, or the prefix
without what follows its leading letters ("wmt" serves wmt14, wmt20, wmt22). The function's module may have FORMS, a
mapping from a name as one writes it ("order:TASK") to what it stands for, which `evalkit tasks list` shows.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from evalkit.contract import registry

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog
    from evalkit.task.definition import Defined

Family = Callable[[str, "Catalog"], "Defined"]
_LETTERS = re.compile(r"[A-Za-z_]+")


def of(name: str) -> Family | None:
    """The family that makes the task ``name``, or None for a plain name and for an unknown prefix."""
    prefix, colon, _ = name.partition(":")
    if not colon:
        return None
    known = registry.names(registry.FAMILIES)
    letters = _LETTERS.match(prefix)
    for candidate in (prefix, letters[0] if letters else ""):
        if candidate in known:
            return cast(Family, registry.load(registry.FAMILIES, candidate))
    return None


def argument(name: str) -> str:
    """What follows the prefix."""
    return name.partition(":")[2]


def forms() -> dict[str, str]:
    """Every family as one writes it, and what it stands for; of a family without FORMS its function's first line."""
    found: dict[str, str] = {}
    for prefix in registry.names(registry.FAMILIES):
        family = registry.load(registry.FAMILIES, prefix)
        told: Mapping[str, str] = getattr(sys.modules.get(family.__module__), "FORMS", {})
        own = {form: what for form, what in told.items() if form.startswith(prefix)}
        found |= own or {f"{prefix}:…": (inspect.getdoc(family) or "").partition("\n")[0]}
    return found
