"""Parametrised task names, PREFIX:ARGUMENT: "wmt22:de-en", "perplexity:FOLDER".

A family is an entry point in the group ``evalkit.task_families``: a function (name, catalog) -> Defined, called with
the whole name, that defines a task (or group) of that very name. Its entry point's name is the prefix, or the prefix
without what follows its leading letters ("wmt" serves wmt14, wmt20, wmt22).
"""

from __future__ import annotations

import re
from collections.abc import Callable
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
