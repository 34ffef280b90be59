"""What a task's numbers are made from, a few columns, read from its samples once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.contract.clusters import CLUSTER_FIELDS, shared_field
from evalkit.contract.types import SampleResult
from evalkit.metrics.combine import Value
from evalkit.task.baselines import guess_of, known_random, majority_of
from evalkit.task.definition import Definition

_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Columns:
    """Of the samples whose status is "ok": the ``values`` of each metric, by key; what guessing would have scored, at
    random and by always giving the most frequent answer; a label each of what items share, where they share something.
    """

    values: Mapping[str, Sequence[Value]]
    random: float | None
    majority: float | None
    clusters: Sequence[str] | None


def columns_of(samples: Sequence[SampleResult], keys: Sequence[str], definition: Definition) -> Columns:
    """The columns of a task's samples, ``keys`` those of its metrics."""
    values: dict[str, list[Any]] = {key: [] for key in keys}
    guess: Callable[[SampleResult], float] | None = guess_of(definition)
    guesses, golds, shared = list[float](), list[Any](), list[Mapping[str, Any]]()
    for sample in samples:
        if sample.status != "ok":
            continue
        for key, column in values.items():
            column.append(sample.statistics[key] if key in sample.statistics else sample.metrics.get(key))
        if guess is not None:
            guesses.append(guess(sample))
        golds.append(sample.target if isinstance(sample.target, int) else None)
        data = sample.document.data
        shared.append({name: data[name] for name in CLUSTER_FIELDS if name in data} or _NOTHING)
    random = sum(guesses) / len(guesses) if guesses else known_random(definition)
    return Columns(values, random, majority_of(definition, golds), shared_field(shared)[1])
