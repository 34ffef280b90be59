"""The doors: tasks, backends and metrics by name, from the entry points of every installed package.

Nothing is imported until it is asked for, and evalkit's own parts come in the same way as a third party's.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import EntryPoint
from typing import Any

from evalkit.contract.errors import UserError

TASKS = "evalkit.tasks"
BACKENDS = "evalkit.backends"
METRICS = "evalkit.metrics"
FAMILIES = "evalkit.task_families"


def names(group: str) -> tuple[str, ...]:
    """All names of a group ("evalkit.tasks", "evalkit.backends" or "evalkit.metrics"), sorted; imports nothing."""
    return tuple(sorted(_found(group)))


def load(group: str, name: str) -> Any:
    """The object behind a name. UserError for an unknown name (with the nearest ones), for a name that two packages
    claim, and for a package that cannot be imported (with its entry point and distribution).
    """
    points = _found(group).get(name)
    if not points:
        raise UserError(f"unknown {_noun(group)} {name!r}{did_you_mean(name, names(group))}")
    if len({point.value for point in points}) > 1:
        claims = " and ".join(f"{point.value} (from {_distribution(point)})" for point in points)
        raise UserError(f"{_noun(group)} {name!r} is defined twice: {claims}; uninstall one of the packages")
    point = points[0]
    try:
        return point.load()
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{_noun(group)} {name!r} cannot be loaded: entry point {point.name} = {point.value} in group {group}, "
            f"from {_distribution(point)}: {type(error).__name__}: {error}; update or uninstall that package"
        ) from error


def provider(group: str, name: str) -> str:
    """The distribution that offers a name, as "evalkit 0.1.0"."""
    return _distribution(_found(group)[name][0])


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A clause that names the nearest of ``known``, or all of them where there are few, or nothing."""
    known = sorted(known)
    lowered = {one.lower(): one for one in known}
    near = [lowered[one] for one in difflib.get_close_matches(name.lower(), list(lowered), n=3, cutoff=0.6)]
    if near:
        return f"; did you mean {' or '.join(near)}?"
    return f"; known: {', '.join(known)}" if 0 < len(known) <= 20 else ""


def _noun(group: str) -> str:
    return group.rpartition(".")[2].removesuffix("s")


def _distribution(point: EntryPoint) -> str:
    dist = point.dist
    return f"{dist.name} {dist.version}" if dist is not None else "an unknown package"


def _found(group: str) -> dict[str, tuple[EntryPoint, ...]]:
    # Reading the metadata of every installed package takes a while, so it is done once for a given sys.path.
    return _scan(group, tuple(sys.path))


@lru_cache(maxsize=64)
def _scan(group: str, path: tuple[str, ...]) -> dict[str, tuple[EntryPoint, ...]]:
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in importlib.metadata.entry_points(group=group):
        found[point.name] = (*found.get(point.name, ()), point)
    return found
