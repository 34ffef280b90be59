"""The judged items as numbers, with what people said of some of them: what every kind of judging has in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.judge.asking import Row
from evalkit.judge.reading import HIGHEST, LOWEST, Unread
from evalkit.statistics.inference import Range
from evalkit.statistics.prediction_powered import PredictionPowered, prediction_powered_mean

Label = Callable[[Any], float | None]


@dataclass(frozen=True, slots=True)
class Items:
    """``values`` of the judge and of ``people``, within ``span``; None where there is none. ``ids`` name the items."""

    ids: tuple[str, ...]
    values: tuple[float | None, ...]
    people: tuple[float | None, ...]
    span: Range


@dataclass(frozen=True, slots=True)
class Rate:
    """The mean over all items as people would see it: the judge's, corrected where people looked
    (`statistics.prediction_powered`). ``unread``: items without a verdict, which stand in with the judge's mean.
    """

    value: float
    interval: Range
    judge: float
    people: float
    people_interval: Range
    weight: float
    labelled: int
    unlabelled: int
    unread: int
    method: str


def pair_label(value: Any) -> float | None:
    """Points of a: "a" 1, "b" 0, "tie" a half."""
    return {"a": 1.0, "b": 0.0, "tie": 0.5}.get(str(value).strip().lower())


def yes_label(value: Any) -> float | None:
    """1 of yes or true, 0 of no or false."""
    return {"yes": 1.0, "true": 1.0, "1": 1.0, "no": 0.0, "false": 0.0, "0": 0.0}.get(str(value).strip().lower())


def grade_label(value: Any) -> float | None:
    """A grade from 1 to 10."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if LOWEST <= found <= HIGHEST else None


LABELS: Mapping[str, tuple[Label, str, Range]] = {
    "pairwise": (pair_label, "a, b or tie", (0.0, 1.0)),
    "pointwise": (grade_label, "a grade from 1 to 10", (LOWEST, HIGHEST)),
    "faithfulness": (yes_label, "yes or no", (0.0, 1.0)),
    "truthful": (yes_label, "yes or no", (0.0, 1.0)),
}
"""By kind of judging: how a person's label is read, what to write, and the least and greatest value."""


def label_of(kind: str, value: Any, where: str) -> float | None:
    """A person's label as a number; None for an empty one. UserError for another."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    read, allowed, _ = LABELS[kind]
    if isinstance(value, bool):
        value = "yes" if value else "no"
    found = read(value)
    if found is None:
        raise UserError(f"{where}: human is {str(value)[:40]!r}; write {allowed}, or leave it empty")
    return found


def people_of(kind: str, rows: Sequence[Row], where: str) -> tuple[float | None, ...]:
    """The rows' labels in "human"."""
    return tuple(label_of(kind, row.get("human"), f"{where}: row {number}") for number, row in enumerate(rows, 1))


def ids_of(rows: Sequence[Row], where: str) -> tuple[str, ...]:
    """What names each row: its "id" (with its "turn", where it has one), or its number. UserError for two alike."""
    ids = tuple(
        str(number) if row.get("id") is None else str(row["id"]) + (f":{row['turn']}" if row.get("turn") else "")
        for number, row in enumerate(rows, 1)
    )
    if twice := [one for one, count in Counter(ids).items() if count > 1]:
        raise UserError(f"{where}: {len(twice)} ids stand in several rows, such as {twice[0]!r}; make them differ")
    return ids


def rate_of(items: Items) -> Rate | None:
    """The prediction-powered rate; None with fewer than two labels, or fewer than two items without one."""
    known = [one for one in items.values if one is not None]
    labelled = [place for place, one in enumerate(items.people) if one is not None]
    rest = [place for place, one in enumerate(items.people) if one is None]
    if len(labelled) < 2 or len(rest) < 2 or not known:
        return None
    # Any guess keeps the rate unbiased; without a verdict the judge's mean is the plainest.
    mean = sum(known) / len(known)
    filled = [mean if one is None else one for one in items.values]
    found: PredictionPowered = prediction_powered_mean(
        [one for one in items.people if one is not None],
        [filled[place] for place in labelled],
        [filled[place] for place in rest],
        span=items.span,
    )
    return Rate(
        value=found.value,
        interval=found.interval,
        judge=mean,
        people=found.people,
        people_interval=found.people_interval,
        weight=found.weight,
        labelled=found.labelled,
        unlabelled=found.unlabelled,
        unread=items.values.count(None),
        method=found.method,
    )


def reasons(found: Iterable[object]) -> dict[str, int]:
    """How many replies were no verdict, by the reason."""
    return dict(Counter(str(one) for one in found if isinstance(one, Unread)))
