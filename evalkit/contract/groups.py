"""Groups of tasks: what lies below a group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def leaves(name: str, children: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """All names below ``name`` that are no group themselves, each once, in order; ``children`` holds every group's
    members. A name that is no group is its own leaf; a group within itself is passed over.
    """
    found: dict[str, None] = {}

    def walk(one: str, above: tuple[str, ...]) -> None:
        if one in above:
            return
        if one not in children:
            found[one] = None
            return
        for child in children[one]:
            walk(child, (*above, one))

    walk(name, ())
    return tuple(found)
