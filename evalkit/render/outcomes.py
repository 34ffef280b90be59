"""Outcomes of a task's answers as sentences: the same on a terminal, in a report, and in a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evalkit.contract.types import Outcomes, RunResult, TaskResult

FEWEST = 5
"""Items of which it is worth telling that all answers are the same."""


SAME = "all answers are the same"
NAMED = 6
"""Tasks that a sentence names; the rest is counted."""
KINDS = (
    ("empty", "empty"),
    ("unfinished_thoughts", "unfinished thoughts"),
    ("cut", "cut by the limit of their length"),
)
"""What replies may be, as `Outcomes` counts it and as it is told."""


def sentences(found: Outcomes) -> Iterator[str]:
    """What a reader must know of the answers; nothing where they are like answers."""
    if is_constant(found):
        yield f"{found.answers:,} of {found.answers:,} answers are {found.most_frequent}"
    for key, what in KINDS:
        if count := getattr(found, key):
            yield f"{count:,} of {found.replies:,} replies are {what}"
    yield from _troubles(found)


def _troubles(found: Outcomes) -> Iterator[str]:
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
    what makes it doubtful that the model was asked in its own tokens, or with an adapter of its own. What several tasks
    have of one kind is one sentence, so that a run of many tasks is not a wall of them.
    """
    tasks = sorted(result.tasks, key=lambda task: -task.n)
    told = list(_constant([task for task in tasks if is_constant(task.outcomes)]))
    for key, what in KINDS:
        told += _replies([task for task in tasks if getattr(task.outcomes, key)], key, what)
    before, after = troubles(result)
    return [*before, *told, *after]


def troubles(result: RunResult) -> tuple[list[str], list[str]]:
    """Of `lines` what no other run has in other numbers: doubts about the model, and answers that failed."""
    details = result.model.get("details") or {}
    doubts = [f"the model's tokenizer: {doubt}" for doubt in details.get("tokenizer_doubts") or []]
    doubts += [f"--peft: {doubt}" for doubt in details.get("adapter_doubts") or []]
    said: dict[str, list[TaskResult]] = {}
    for task in sorted(result.tasks, key=lambda task: -task.n):
        for sentence in _troubles(task.outcomes):
            said.setdefault(sentence, []).append(task)
    return doubts, [f"{_listed([task.info.name for task in found])}: {sentence}" for sentence, found in said.items()]


def shortly(result: RunResult) -> dict[str, str]:
    """What of the answers is told of many runs at once: by what it is, how often it is so."""
    found: dict[str, str] = {}
    if constant := [task for task in result.tasks if is_constant(task.outcomes)]:
        found[SAME] = f"{len(constant)} task{'s' if len(constant) > 1 else ''}"
    for key, what in KINDS:
        if some := [task.outcomes for task in result.tasks if getattr(task.outcomes, key)]:
            count, whole = sum(getattr(one, key) for one in some), sum(one.replies for one in some)
            found[f"replies are {what}"] = f"{count:,} of {whole:,}"
    return found


def _constant(tasks: Sequence[TaskResult]) -> Iterator[str]:
    if len(tasks) == 1:
        yield f"{tasks[0].info.name}: {next(sentences(tasks[0].outcomes))}"
    elif tasks:
        each = [f"{one.info.name} {one.outcomes.most_frequent} ({one.outcomes.answers:,})" for one in tasks]
        yield f"{SAME} in {len(tasks)} tasks: {_listed(each)}"


def _replies(tasks: Sequence[TaskResult], key: str, what: str) -> Iterator[str]:
    def share(task: TaskResult) -> float:
        return float(getattr(task.outcomes, key)) / max(1, task.outcomes.replies)

    each = [
        (one.info.name, f"{getattr(one.outcomes, key):,} of {one.outcomes.replies:,}")
        for one in sorted(tasks, key=share, reverse=True)
    ]
    if len(each) == 1:
        yield f"{each[0][0]}: {each[0][1]} replies are {what}"
    elif each:
        yield f"replies are {what} in {len(each)} tasks: {_listed([f'{name} {count}' for name, count in each])}"


def _listed(each: Sequence[str]) -> str:
    more = f" and {len(each) - NAMED} more" if len(each) > NAMED else ""
    return ", ".join(each[:NAMED]) + more
