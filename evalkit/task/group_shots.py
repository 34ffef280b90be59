"""Few-shot examples that a group fixes for its tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.contract.errors import UserError
from evalkit.task import sample as samples_of
from evalkit.task.definition import Definition

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog


def fixed_shots(catalog: Catalog, name: str) -> dict[str, int]:
    """The few-shot examples that a group fixes, by task; the innermost group that says so decides. Empty for a task.

    UserError where two groups inside fix one task differently.
    """
    found: dict[str, tuple[str, int]] = {}

    def walk(group: str, fixed: int | None, by: str) -> None:
        own = catalog.shots.get(group, {})
        for child in catalog.groups[group].children:
            number, where = own.get(child, fixed), group if child in own else by
            if child in catalog.groups:
                walk(child, number, where)
            elif number is not None:
                before = found.setdefault(child, (where, number))
                if before[1] != number:
                    raise UserError(
                        f"{name}: {child} has {before[1]} examples in {before[0]} and {number} in {where}; "
                        "make them the same"
                    )

    if name in catalog.groups:
        walk(name, None, name)
    return {task: number for task, (_, number) in found.items()}


def within_sample(definition: Definition, shots: int) -> int:
    """As many examples as asked for, or as many as the task's bundled sample has."""
    split = definition.dataset.splits.fewshot
    if definition.sample is None or split is None or definition.fewshot.file is not None:
        return shots
    there = len(samples_of.rows(definition.sample, split)) - (split == definition.dataset.splits.eval)
    return min(shots, there)
