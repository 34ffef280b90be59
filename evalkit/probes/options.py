"""Parameters in a task's name: "needle:single:lengths=512+1024:depths=0+50+100".

Parts stand between colons; a part is VALUE (the first parameter) or NAME=VALUE; several values are joined with "+".
Commas, which separate tasks, and signs that a shell would take are left out on purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.registry import did_you_mean

Readers = Mapping[str, Callable[[str], Any]]


def parse(name: str, readers: Readers, first: str | None = None) -> dict[str, Any]:
    """The parameters after a name's first colon, read. ``first`` may be written without its name.

    Raises UserError for an unknown parameter, one given twice, and a value that its reader refuses (ValueError).
    """
    found: dict[str, Any] = {}
    for position, part in enumerate(name.split(":")[1:]):
        key, equals, text = part.partition("=")
        if not equals and position == 0 and first is not None:
            key, text = first, part
        elif not equals:
            raise UserError(f"task {name!r}: write {part!r} as NAME=VALUE; the names are {', '.join(readers)}")
        if key not in readers:
            raise UserError(f"task {name!r}: there is no parameter {key!r}{did_you_mean(key, readers)}")
        if key in found:
            raise UserError(f"task {name!r}: {key} is given twice")
        try:
            found[key] = readers[key](text)
        except ValueError as error:
            raise UserError(f"task {name!r}: {key}={text}: {error}") from None
    return found


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """A reader of a whole number within bounds."""

    def read(text: str) -> int:
        bounds = f"{least} or more" if most is None else f"{least} to {most}"
        if not text.isdigit() or int(text) < least or (most is not None and int(text) > most):
            raise ValueError(f"give a whole number, {bounds}")
        return int(text)

    return read


def wholes(least: int, most: int | None = None) -> Callable[[str], tuple[int, ...]]:
    """A reader of whole numbers joined with "+", sorted, each once."""
    one = whole(least, most)
    return lambda text: tuple(sorted({one(part) for part in text.split("+")}))


def share(text: str) -> float:
    """A number above 0 and at most 1."""
    value = float(text)
    if not 0 < value <= 1:
        raise ValueError("give a number above 0, at most 1")
    return value


def one_of(known: Sequence[str]) -> Callable[[str], str]:
    """A reader of one of ``known``."""

    def read(text: str) -> str:
        if text not in known:
            raise ValueError(f"choose one of {', '.join(known)}")
        return text

    return read


def given(text: str) -> str:
    """Any text but an empty one."""
    if not text:
        raise ValueError("is empty")
    return text


def flag(text: str) -> bool:
    """yes or no."""
    if text not in ("yes", "no"):
        raise ValueError("write yes or no")
    return text == "yes"
