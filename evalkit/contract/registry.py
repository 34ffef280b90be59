"""The doors: tasks, backends and metrics by name, from the entry points of every installed package, and from what a
program registers while it runs (`register`).

Nothing is imported until it is asked for, and evalkit's own parts come in the same way as a third party's.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import inspect
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint
from typing import Any

from evalkit.contract.errors import UserError

TASKS = "evalkit.tasks"
BACKENDS = "evalkit.backends"
METRICS = "evalkit.metrics"
FAMILIES = "evalkit.task_families"
SECTIONS = "evalkit.report_sections"
SINKS = "evalkit.sinks"
GRADERS = "evalkit.graders"
REFUSAL_GRADERS = "evalkit.refusal_graders"
HARM_GRADERS = "evalkit.harm_graders"
TASK_OBJECTS = "evalkit.task_objects"
"""Tasks that are Python objects (`evalkit.contract.types.Task`, or what makes one), where TASKS holds folders."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something was defined that was registered at run time."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class _Registered:
    value: Any
    origin: Origin


_registered: dict[tuple[str, str], _Registered] = {}


def register(group: str, name: str, value: Any, *, origin: Origin, replace: bool = False) -> None:
    """Offer ``value`` by ``name`` in this process. What stands on the same line of the same file (a cell or a module
    that is run again) takes the place of what it registered before; ``replace`` allows it from elsewhere too.

    Raises UserError, with both places, for a name that is taken, and for one that an installed package has.
    """
    if not name or name != name.strip() or any(sign in name for sign in ",@*?[]\n"):
        raise UserError(f"{origin}: {name!r} cannot be the name of a {_noun(group)}: use letters, digits, _ - . :")
    if points := _found(group).get(name):
        raise UserError(
            f"{origin}: {_noun(group)} {name!r} is there already: {points[0].value} (from {_distribution(points[0])}); "
            "choose another name"
        )
    before = _registered.get((group, name))
    if before is not None and before.origin != origin and not replace:
        raise UserError(
            f"{_noun(group)} {name!r} is registered twice, at {before.origin} and at {origin}: rename one, or pass "
            "replace=True"
        )
    _registered[group, name] = _Registered(value, origin)


def unregister(group: str, name: str) -> None:
    """Take back what was registered at run time. UserError where nothing was."""
    if _registered.pop((group, name), None) is None:
        raise UserError(f"{_noun(group)} {name!r} was not registered at run time")


def origin_of(group: str, name: str) -> Origin | None:
    """Where a name was registered at run time; None for what packages offer, and for unknown names."""
    found = _registered.get((group, name))
    return None if found is None else found.origin


def defined_at(value: Any, depth: int) -> Origin:
    """File and line where a function or class is defined; for other values, those of the caller ``depth`` frames up."""
    try:
        code = getattr(inspect.unwrap(value), "__code__", None) if callable(value) else None
        if code is not None:
            return Origin(code.co_filename, code.co_firstlineno)
        if inspect.isclass(value):
            return Origin(inspect.getsourcefile(value) or "?", inspect.getsourcelines(value)[1])
    except (OSError, TypeError, ValueError):  # no source, as in an interactive session
        pass
    frame = sys._getframe(depth)
    return Origin(frame.f_code.co_filename, frame.f_lineno)


def names(group: str) -> tuple[str, ...]:
    """All names of a group ("evalkit.tasks", "evalkit.backends" or "evalkit.metrics"), sorted; imports nothing."""
    return tuple(sorted({*_found(group), *(name for one, name in _registered if one == group)}))


def load(group: str, name: str) -> Any:
    """The object behind a name. UserError for an unknown name (with the nearest ones), for a name that two packages
    claim, and for a package that cannot be imported (with its entry point and distribution).
    """
    if (group, name) in _registered:
        return _registered[group, name].value
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
    """Who offers a name: a distribution, as "evalkit 0.1.0", or the file and line that registered it."""
    if (origin := origin_of(group, name)) is not None:
        return str(origin)
    return _distribution(_found(group)[name][0])


def did_you_mean(name: str, known: Iterable[str], most: int = 20) -> str:
    """A clause that names the nearest of ``known``, or all of them where there are at most ``most``, or nothing."""
    known = sorted(known)
    lowered = {one.lower(): one for one in known}
    near = [lowered[one] for one in difflib.get_close_matches(name.lower(), list(lowered), n=3, cutoff=0.6)]
    if near:
        return f"; did you mean {' or '.join(near)}?"
    return f"; known: {', '.join(known)}" if 0 < len(known) <= most else ""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one of ``known`` that ``name`` is likely a slip of; None where none is near."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def _noun(group: str) -> str:
    if group == TASK_OBJECTS:
        return "task"
    return group.rpartition(".")[2].removesuffix("s").replace("_", " ")


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
        known = found.get(point.name, ())
        # An earlier installation under another name offers the same object: that is no contradiction.
        if all(point.value != other.value for other in known):
            found[point.name] = (*known, point)
    return found
