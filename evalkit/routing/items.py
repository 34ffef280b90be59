"""Finished runs of several models on the same items, as a table for `evalkit.routing.study`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.backends.answer_scorer import Answered, of_choices, of_text
from evalkit.contract.errors import UserError
from evalkit.contract.results import MEAN
from evalkit.contract.types import Generate, Response, TaskResult
from evalkit.routing.study import Items
from evalkit.store import RunDir
from evalkit.store.rows import join_keys, metrics_of

Key = tuple[str, str]
"""Task, and the document's hash, made unique."""
Prices = tuple[float, float]
"""Of a million prompt tokens, and of a million output tokens."""
COLUMNS = ("doc_hash", "status", "prompt", "choices", "responses", "metrics")


@dataclass(frozen=True, slots=True)
class Reply:
    """One model's answer to one item, as its run has it. ``choices``: empty for a generated text."""

    key: Key
    prompt: str
    choices: tuple[str, ...]
    responses: tuple[Mapping[str, Any], ...]
    quality: float | None

    @property
    def text(self) -> str | None:
        """The generated text, of one that was answered."""
        first = self.responses[0] if self.responses else {}
        return None if self.choices or first.get("status") != "ok" else first.get("text") or None

    @property
    def request(self) -> Generate:
        """What was asked, of a generated text: enough to have the model score its reply."""
        return Generate(self.prompt)

    def tokens(self) -> tuple[int, int]:
        """Prompt tokens and output tokens of all requests of the item."""
        return (
            sum(int(one.get("prompt_tokens") or 0) for one in self.responses),
            sum(int(one.get("output_tokens") or 0) for one in self.responses),
        )


def replies(run: Path) -> list[Reply]:
    """Every item of a finished run. UserError for a task whose primary metric is no mean of shares, and for one whose
    items are neither choices nor single texts.
    """
    opened = RunDir.open(run)
    found = []
    for task in opened.result().tasks:
        key = _share(task, run)
        frame = opened.samples(task.info.name, COLUMNS)
        rows = frame.to_dict("records")
        for name, row in zip(join_keys([str(one["doc_hash"]) for one in rows]), rows, strict=True):
            value = (
                metrics_of({str(column): one for column, one in row.items()}).get(key)
                if row["status"] == "ok"
                else None
            )
            choices = tuple(row["choices"]) if row["choices"] is not None else ()
            responses = tuple(row["responses"]) if row["responses"] is not None else ()
            found.append(Reply((task.info.name, name), str(row["prompt"]), choices, responses, value))
    return found


def _share(task: TaskResult, run: Path) -> str:
    """The key of the task's primary metric, whose items lie between 0 and 1."""
    metric = next((one for one in task.metrics if one.key == task.info.primary), None)
    if metric is None:
        raise UserError(f"{run}: {task.info.name} has no score: nothing can be learnt from it")
    if metric.aggregator != MEAN or metric.bounds != (0, 1) or not metric.higher_is_better:
        raise UserError(
            f"{run}: {task.info.name}: {metric.name} is no share of right items: choose tasks with acc, exact_match, "
            "F1 and the like"
        )
    return metric.key


def answered(reply: Reply, scored: Mapping[Key, Response]) -> Answered:
    """What a scorer reads of a reply. ``scored``: what models say of their own texts."""
    if not reply.responses or any(one.get("status") != "ok" for one in reply.responses):
        return Answered(failed=True)
    if reply.choices:
        return of_choices(
            reply.prompt,
            reply.choices,
            [one.get("loglikelihood") for one in reply.responses],
            [int(one.get("output_tokens") or 0) for one in reply.responses],
        )
    own = scored.get(reply.key)
    if own is None or own.loglikelihood is None:
        return of_text(reply.prompt, reply.text, None, reply.tokens()[1])
    return of_text(reply.prompt, reply.text, own.loglikelihood, own.output_tokens)


def table(
    models: Sequence[str],
    found: Sequence[Sequence[Reply]],
    scored: Sequence[Mapping[Key, Response]],
    prices: Sequence[Prices],
) -> Items:
    """The items that all of ``models`` have a score for; ``found``, ``scored`` and ``prices`` in their order. Raises
    UserError where there is none.
    """
    by_key = [{reply.key: reply for reply in one} for one in found]
    every = dict.fromkeys(reply.key for one in found for reply in one)
    keys = tuple(key for key in every if all(key in one and one[key].quality is not None for one in by_key))
    if not keys:
        raise UserError(f"{', '.join(models)}: have no scored item in common: run them on the same tasks")
    shape = (len(keys), len(models))
    quality, cost, deciding = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    answers: dict[str, list[Answered]] = {}
    for column, model in enumerate(models):
        rows = [by_key[column][key] for key in keys]
        answers[model] = [answered(reply, scored[column]) for reply in rows]
        quality[:, column] = [reply.quality or 0.0 for reply in rows]
        into, out = prices[column]
        for place, reply in enumerate(rows):
            read, written = reply.tokens()
            cost[place, column] = (read * into + written * out) / 1e6
            own = scored[column].get(reply.key)
            if own is not None:
                deciding[place, column] = (own.prompt_tokens + own.output_tokens) * into / 1e6
    return Items(tuple(models), keys, answers, quality, cost, deciding, len(every) - len(keys))
