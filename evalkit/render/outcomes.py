"""Outcomes of a task's answers as sentences: the same on a terminal, in a report, and in a notebook."""

from __future__ import annotations

from collections.abc import Iterator

from evalkit.contract.types import Outcomes, RunResult, TaskResult

FEWEST = 5
"""Items of which it is worth telling that all answers are the same."""


def sentences(found: Outcomes) -> Iterator[str]:
    """What a reader must know of the answers; nothing where they are like answers."""
    if is_constant(found):
        yield f"{found.answers:,} of {found.answers:,} answers are {found.most_frequent}"
    for count, what in (
        (found.empty, "empty"),
        (found.unfinished_thoughts, "unfinished thoughts"),
        (found.cut, "cut by the limit of their length"),
    ):
        if count:
            yield f"{count:,} of {found.replies:,} replies are {what}"
    if found.failure:
        many = "s" if found.failure_count > 1 else ""
        yield f"{found.failure_count:,} item{many} failed: {found.failure}"
    if found.withheld:
        many = "s" if found.withheld > 1 else ""
        yield f"{found.withheld:,} answer{many} withheld by the provider's content filter (no score)"


def is_constant(found: Outcomes) -> bool:
    """Whether the model gave one and the same answer to questions with several right ones."""
    same = found.most_frequent_count == found.answers >= FEWEST
    return same and found.distinct_targets > 1 and bool(found.most_frequent)


def lines(result: RunResult) -> list[str]:
    """A sentence for each thing to be told, with the tasks that it holds for, those of most items first; before them
    what makes it doubtful that the model was asked in its own tokens, or with an adapter of its own.
    """
    details = result.model.get("details") or {}
    doubts = [f"the model's tokenizer: {doubt}" for doubt in details.get("tokenizer_doubts") or []]
    doubts += [f"--peft: {doubt}" for doubt in details.get("adapter_doubts") or []]
    said: dict[str, list[TaskResult]] = {}
    for task in sorted(result.tasks, key=lambda task: -task.n):
        for sentence in sentences(task.outcomes):
            said.setdefault(sentence, []).append(task)
    told = [f"{_names([task.info.name for task in found])}: {sentence}" for sentence, found in said.items()]
    return [*doubts, *told]


def _names(names: list[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
