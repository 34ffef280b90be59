"""What a reader must know before reading a run's numbers: bundled items, parts, errors, answers that are none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evalkit.contract.types import RunResult
from evalkit.render import outcomes

MANY = 6
"""Runs from which on it is told shortly how their answers are."""


def cautions(runs: Sequence[tuple[str, RunResult]]) -> Iterator[tuple[str, str]]:
    """(kind, sentence) for runs with their labels; what holds for all of them is said once."""
    said: dict[tuple[str, str], list[str]] = {}
    many = len(runs) > MANY
    for label, result in runs:
        for warning in (*_of(result), *_of_answers(result, many)):
            said.setdefault(warning, []).append(label)
    for (kind, sentence), who in said.items():
        yield kind, sentence if len(who) == len(runs) else f"{sentence} In: {_some(who)}."
    if many:
        yield from _together(runs)


def _together(runs: Sequence[tuple[str, RunResult]]) -> Iterator[tuple[str, str]]:
    """What the answers of many runs are, a sentence a kind: how often in which of them, the most runs first."""
    said: dict[str, dict[str, list[str]]] = {}
    for label, result in runs:
        for what, count in outcomes.shortly(result).items():
            said.setdefault(what, {}).setdefault(count, []).append(label)
    for what, counts in said.items():
        each = sorted(counts.items(), key=lambda one: -len(one[1]))
        yield "answers", f"{what}: " + "; ".join(f"{count} in {_some(who)}" for count, who in each) + "."


def _of(result: RunResult) -> Iterator[tuple[str, str]]:
    sampled = [task.info.name for task in result.tasks if task.info.sample]
    if sampled:
        what = "all tasks" if len(sampled) == len(result.tasks) else _some(sampled)
        yield "sample", f"not comparable with the full set ({what})."
    if result.partial:
        yield "partial", "the run was interrupted; the numbers cover only what was answered."
    limited = [task.info.name for task in result.tasks if task.n < task.n_total and not task.info.sample]
    if limited:
        what = "all tasks" if len(limited) == len(result.tasks) > 1 else _some(limited)
        yield "limited", f"scored on part of the documents ({what})."
    for count, what in (
        (sum(task.n_error for task in result.tasks), "ended in an error and are left out of the scores"),
        (sum(task.n_unscored for task in result.tasks), "could not be scored and are left out of the scores"),
        (sum(task.n_truncated for task in result.tasks), "had a prompt longer than the context window"),
    ):
        if count:
            yield "status", f"{count:,} documents {what}."


def _of_answers(result: RunResult, shortly: bool) -> Iterator[tuple[str, str]]:
    for line in (*outcomes.troubles(result)[0], *outcomes.troubles(result)[1]) if shortly else outcomes.lines(result):
        yield "answers", f"{line}."


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
