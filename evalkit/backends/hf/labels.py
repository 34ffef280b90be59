"""Which of a classifier's outputs is which of a task's classes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.contract.errors import UserError

Labels = tuple[tuple[str, ...], ...]
_UNNAMED = re.compile(r"LABEL_\d+|\d+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fit:
    """The model's output of each of the task's classes, in the task's order, and what decided it."""

    labels: Labels
    names: tuple[str, ...]
    places: tuple[int, ...]
    by: str

    @property
    def told(self) -> str:
        """In one line for people."""
        pairs = (f"{label[0]} = {self.names[place]}" for label, place in zip(self.labels, self.places, strict=True))
        return f"its classes go {self.by}: {', '.join(pairs)}"

    def record(self) -> dict[str, Any]:
        """In the run's record."""
        return {
            "task": [label[0] for label in self.labels],
            "model": [self.names[place] for place in self.places],
            "outputs": list(self.places),
            "by": self.by,
        }


def fit(owner: str, labels: Labels, names: Sequence[str], multiple: bool = False) -> Fit:
    """The outputs called ``names`` as the task's classes: by name, or by their order where they have no names
    ("LABEL_0"). UserError where they are others, or more or fewer.
    """
    shown = ", ".join(label[0] for label in labels)
    if multiple:
        raise UserError(f"{owner}: gives several classes at once (multi_label_classification), the task has one each")
    if len(names) == 1:
        raise UserError(f"{owner}: gives one number (regression), and the task has the classes {shown}")
    if len(names) != len(labels):
        raise UserError(
            f"{owner}: has {len(names)} classes ({', '.join(names)}), and the task has {len(labels)} ({shown}): give a "
            "model that was trained for it"
        )
    places = [_named(label, names) for label in labels]
    if None not in places and len(set(places)) == len(places):
        return Fit(labels, tuple(names), tuple(place for place in places if place is not None), "by their names")
    if all(_UNNAMED.fullmatch(name.strip()) for name in names):
        return Fit(labels, tuple(names), tuple(range(len(names))), "by their order, for they have no names")
    raise UserError(
        f"{owner}: its classes are {', '.join(names)}, and the task's {shown}: give a model that was trained for it, "
        "or write the task's names into its config.json (id2label)"
    )


def fit_number(owner: str, names: Sequence[str]) -> Fit:
    """The one output of a model that gives a number. UserError for one with classes."""
    if len(names) != 1:
        raise UserError(
            f"{owner}: gives {len(names)} classes ({', '.join(names)}), and the task asks for a number: give a model "
            "with one output (regression)"
        )
    return Fit((), tuple(names), (), "a number")


def _named(label: tuple[str, ...], names: Sequence[str]) -> int | None:
    wanted = {_plain(name) for name in label}
    found = [place for place, name in enumerate(names) if _plain(name) in wanted]
    return found[0] if len(found) == 1 else None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
