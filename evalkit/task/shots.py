"""How many few-shot examples a task has, and why: decided here and nowhere else.

What decides, the strongest first:

1. the definition, where its prompt holds the examples already (``fewshot.locked``);
2. a group that fixes the number, the innermost one that says so; of bundled items, at most as many as there are;
3. the entry of --tasks, by "@5shot" in its name or by its own num_fewshot;
4. --num-fewshot of the run;
5. the definition.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import Group, Shots
from evalkit.spec.models import RunSpec, TaskSpec
from evalkit.task import sample as bundled_items
from evalkit.task.definition import Definition

_SUFFIX = re.compile(r"(\d+)-?shot")
BUNDLED = ("bundled", "sample")
"""Suffixes that ask for a task's bundled items; the second is the older word."""


def parse_suffixes(entry: TaskSpec) -> TaskSpec:
    """An entry with "@bundled" and "@5shot" taken off its name and put into its settings."""
    name, *suffixes = entry.name.split("@")
    update: dict[str, Any] = {"name": name}
    for suffix in suffixes:
        shots = _SUFFIX.fullmatch(suffix)
        if suffix in BUNDLED:
            update["sample"] = True
        elif shots is not None:
            update["num_fewshot"] = int(shots[1])
        else:
            raise UserError(
                f"task {entry.name!r}: unknown suffix @{suffix}; there are @bundled and @5shot (any number)"
            )
    if update.get("num_fewshot", entry.num_fewshot) != entry.num_fewshot and entry.num_fewshot is not None:
        raise UserError(f"task {entry.name!r}: the name and num_fewshot ({entry.num_fewshot}) ask for different shots")
    return entry.model_copy(update=update)


def asked(entry: TaskSpec, run: RunSpec) -> Shots | None:
    """What the user asks for, by an entry as it was written or for the whole run; None: nothing."""
    number = parse_suffixes(entry).num_fewshot
    if number is None:
        return by_flag(run.num_fewshot)
    if entry.num_fewshot is None:
        return Shots(number, "suffix", f"@{number}shot after the name")
    return Shots(number, "entry", "num_fewshot of the entry in tasks")


def by_flag(number: int | None) -> Shots | None:
    """What --num-fewshot asks for; None where it was not given."""
    return None if number is None else Shots(number, "flag", "--num-fewshot")


@dataclass(frozen=True, slots=True)
class Fixed:
    """The examples that ``group`` fixes for one of its tasks."""

    number: int
    group: str


def fixed(groups: Mapping[str, Group], shots: Mapping[str, Mapping[str, int]], name: str) -> dict[str, Fixed]:
    """The few-shot examples that a group fixes, by task; the innermost group that says so decides. Empty for a task.

    ``shots`` has each group's numbers by child. UserError where two groups inside fix one task differently.
    """
    found: dict[str, Fixed] = {}

    def walk(group: str, outer: Fixed | None) -> None:
        own = shots.get(group, {})
        for child in groups[group].children:
            here = Fixed(own[child], group) if child in own else outer
            if child in groups:
                walk(child, here)
            elif here is not None:
                before = found.setdefault(child, here)
                if before.number != here.number:
                    raise UserError(
                        f"{name}: {child} has {before.number} examples in {before.group} and {here.number} in "
                        f"{here.group}; make them the same"
                    )

    if name in groups:
        walk(name, None)
    return found


def decide(definition: Definition, wanted: Shots | None, by_group: Fixed | None, bundled: bool) -> Shots:
    """The number of examples of a task and where it comes from. UserError where there is nothing to take them from."""
    chosen = definition.fewshot
    if chosen.locked:
        return Shots(chosen.num, "locked", "its prompt is written with them")
    if by_group is not None:
        shots = Shots(by_group.number, "group", f"fixed by the group {by_group.group}")
    else:
        shots = wanted or Shots(chosen.num, "definition", "the task's definition")
    split = definition.dataset.splits.fewshot
    if chosen.file is not None:
        return shots
    if shots.number and split is None:
        raise UserError(f"{definition.name}: has no split to take few-shot examples from; use 0 shots")
    if by_group is None or not bundled or definition.sample is None or split is None:
        return shots
    there = len(bundled_items.rows(definition.sample, split)) - (split == definition.dataset.splits.eval)
    if there >= shots.number:
        return shots
    return Shots(there, "bundled", f"as many as are bundled; the group {by_group.group} fixes {by_group.number}")


def of_lm_eval(written: int | None, wanted: Shots | None) -> Shots:
    """The same for a task of lm-eval's, by its rule: one that is ``written`` with 0 examples keeps them."""
    if written == 0:
        return Shots(0, "locked", "lm-eval's definition, which keeps its 0")
    return wanted or Shots(written or 0, "definition", "lm-eval's definition")


def notes(definition: Definition, shots: Shots, wanted: Shots | None, by_group: Fixed | None) -> list[str]:
    """What a user should know before the run of a number that is not the one asked for."""
    number = by_group.number if by_group is not None else wanted and wanted.number
    if shots.source == "locked" and number not in (None, shots.number):
        return [f"{definition.name}: its prompt is fixed at {shots.number} few-shot examples; {number} is ignored"]
    if shots.source == "bundled" and by_group is not None:
        return [
            f"{definition.name}: {shots.number} few-shot examples are bundled, of the {by_group.number} that "
            f"{by_group.group} fixes"
        ]
    return []
