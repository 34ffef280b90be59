"""Saved verdicts, or anybody's rows, with people's labels of some items: the rate as people would see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.judge.asking import Row
from evalkit.judge.items import LABELS, Items, Label, Rate, ids_of, label_of, pair_label, rate_of, yes_label
from evalkit.statistics.inference import Range


@dataclass(frozen=True, slots=True)
class Labelled:
    """Items with labels; ``unknown`` labels name no item."""

    items: Items
    kind: str
    unknown: int


def saved(verdicts: Mapping[str, Any], where: str) -> tuple[Items, str]:
    """(items, kind of judging) of what a judging command wrote. UserError where the file is no such thing."""
    kind, found = verdicts.get("kind"), verdicts.get("items")
    if kind not in LABELS or not isinstance(found, Mapping):
        raise UserError(
            f"{where}: holds no verdicts; give what `evalkit judge {'|'.join(LABELS)} --output` wrote, or rows "
            "{id, judge, human}"
        )
    try:
        low, high = found["span"]
        ids, values, people = (tuple(found[name]) for name in ("ids", "values", "people"))
        items = Items(tuple(map(str, ids)), _numbers(values), _numbers(people), (float(low), float(high)))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{where}: its items are damaged ({error}); judge again") from None
    if not len(items.ids) == len(items.values) == len(items.people):
        raise UserError(f"{where}: its items are damaged (unequal lengths); judge again")
    return items, str(kind)


def _numbers(values: Sequence[Any]) -> tuple[float | None, ...]:
    return tuple(None if one is None else float(one) for one in values)


def from_rows(rows: Sequence[Row], span: Range, where: str) -> Items:
    """Items of rows {"judge", "human", "id"}: numbers within ``span``, or yes, no, a, b, tie (1, 0, 1, 0, a half)."""
    if not rows:
        raise UserError(f"{where}: holds no rows")
    values = [
        tuple(_plain(row.get(name), span, f"{where}: row {number}: {name}") for number, row in enumerate(rows, 1))
        for name in ("judge", "human")
    ]
    if not any(one is not None for one in values[0]):
        raise UserError(f"{where}: no row has a verdict; write id, judge and human")
    return Items(ids_of(rows, where), values[0], values[1], span)


def _plain(value: Any, span: Range, where: str) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    words: Sequence[Label] = (pair_label, yes_label) if span == (0.0, 1.0) else ()
    for read in words:
        if (word := read(value)) is not None:
            return word
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise UserError(f"{where} is {str(value)[:40]!r}; write a number (or yes, no, a, b, tie)") from None
    if not span[0] <= found <= span[1]:
        raise UserError(f"{where} is {found:g}, beyond {span[0]:g} to {span[1]:g}; say --span LOW,HIGH")
    return found


def with_labels(items: Items, kind: str, labels: Sequence[Row], where: str) -> Labelled:
    """The items with the labels {"id", "human"}, over those that they had. UserError for a label that makes no sense,
    two of one item, and where none names an item.
    """
    if missing := [number for number, row in enumerate(labels, 1) if row.get("id") is None]:
        raise UserError(f"{where}: row {missing[0]} has no id; write id and human")
    given: dict[str, float] = {}
    names = ids_of(labels, where)
    for number, (row, name) in enumerate(zip(labels, names, strict=True), 1):
        said, at = row.get("human"), f"{where}: row {number}"
        value = label_of(kind, said, at) if kind in LABELS else _plain(said, items.span, f"{at}: human")
        if value is not None:
            given[name] = value
    known = set(items.ids)
    if not known & given.keys():
        raise UserError(
            f"{where}: none of its {len(given)} labels names a judged item; ids are such as {items.ids[0]!r}"
        )
    people = tuple(given.get(name, old) for name, old in zip(items.ids, items.people, strict=True))
    return Labelled(replace(items, people=people), kind, len(given.keys() - known))


def debiased(items: Items, where: str) -> Rate:
    """`items.rate_of`; UserError where there are too few labels, or nothing else."""
    found = rate_of(items)
    if found is None:
        n = sum(one is not None for one in items.people)
        raise UserError(
            f"{where}: {n} of {len(items.ids)} items have a person's label; it takes at least 2, and 2 items without "
            "one (where people labelled all, their own mean is the rate)"
        )
    return found
