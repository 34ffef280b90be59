"""p_gold: how probable a model holds the right answer, from the log-likelihoods that every run keeps of its choices.

Of an item with the choices 1..k, their summed log-likelihoods l_1..l_k and the set G of right ones,

    p_gold = sum over g in G of exp(l_g) / sum over j of exp(l_j)

Accuracy asks only which choice comes first; p_gold moves with every change of a model, so that fewer items show as
much (docs/statistics.md says what it cannot show). It needs nothing beyond the samples, of runs made earlier too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from evalkit.analysis.scores import RunScores, Series, TaskScores
from evalkit.contract.types import MEAN, SHARE_UNIT, TaskInfo
from evalkit.metrics.choice import gold_indices, softmax
from evalkit.store import RunDir

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
NAME = "p_gold"
KEY = f"{NAME},none"
DIGITS = 4
"""Kept of every value, so that a saved baseline and the run that it was made of agree to the last digit."""
COLUMNS = ("status", "target", "choices", "responses", "prompts")


def p_gold(loglikelihoods: list[float], target: object) -> float | None:
    """The probability of the right answer(s); None where there is only one choice, or none of them is the target."""
    try:
        gold = set(gold_indices(target))
    except (TypeError, ValueError):
        return None
    if len(loglikelihoods) < 2 or not gold or not gold <= set(range(len(loglikelihoods))):
        return None
    if not isfinite(max(loglikelihoods)):
        return None
    probabilities = softmax(loglikelihoods)
    return round(sum(probabilities[index] for index in gold), DIGITS)


def added(scores: RunScores, path: Path) -> RunScores:
    """The scores of the run in ``path`` with p_gold of every task that has choices."""
    run = RunDir.open(path)
    infos = [task.info for task in run.result().tasks if task.info.name in scores.tasks]
    tasks = {info.name: with_series(scores.tasks[info.name], series_of_run(run, info)) for info in infos}
    return replace(scores, tasks=tasks)


def without(scores: RunScores) -> RunScores:
    """The same scores as a run has them that was not asked for p_gold."""

    def plain(task: TaskScores) -> TaskScores:
        if KEY not in task.series:
            return task
        return replace(
            task, series=_others(task.series), published=_others(task.published), rising=_others(task.rising)
        )

    return replace(scores, tasks={name: plain(task) for name, task in scores.tasks.items()})


def _others(known: Mapping[str, T]) -> dict[str, T]:
    return {key: value for key, value in known.items() if key != KEY}


def with_series(task: TaskScores, series: Series | None) -> TaskScores:
    """A task's scores with p_gold beside its metrics."""
    if series is None:
        return task
    known = [value for value in series.values if isinstance(value, float)]
    return replace(
        task,
        series={**task.series, KEY: series},
        published={**task.published, KEY: sum(known) / len(known)},
        rising={**task.rising, KEY: True},
    )


def series_of_run(run: RunDir, info: TaskInfo) -> Series | None:
    """p_gold of a task's items, in the order of its samples; None for a task without choices."""
    return series_of(run.samples(info.name, COLUMNS), info) if info.kind == "multiple_choice" else None


def series_of(frame: pd.DataFrame, info: TaskInfo) -> Series | None:
    """p_gold of the rows of a samples file (`COLUMNS`)."""
    if info.kind != "multiple_choice":
        return None
    columns = (frame[name].tolist() for name in COLUMNS)
    values = tuple(_of_row(*row) for row in zip(*columns, strict=True))
    if all(value is None for value in values):
        return None
    return Series(values, MEAN, True, SHARE_UNIT, (0.0, 1.0))


def _of_row(
    status: str, target: str, choices: list[str], responses: list[dict[str, object]], prompts: list[str] | None
) -> float | None:
    if status != "ok" or len(choices) != len(responses):  # answers that were written, not chosen
        return None
    shown = [True] * len(responses) if prompts is None else [bool(prompt) for prompt in prompts]
    if not any(shown):
        shown = [True] * len(responses)
    # Beside the choices lm-eval's mutual information asks for each of them without its question.
    asked = [one["loglikelihood"] for one, with_prompt in zip(responses, shown, strict=True) if with_prompt]
    found = [value for value in asked if isinstance(value, float)]
    return p_gold(found, json.loads(target)) if len(found) == len(asked) else None
