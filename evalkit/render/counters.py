"""Performance counters laid out for reading: what belongs together under one title, and one line a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.render.facts import Facts, side_by_side
from evalkit.text import numbers

TITLES = {
    "cost": "Cost",
    "throughput": "Throughput",
    "seconds": "Time",
    "latency": "Latency",
    "memory": "Memory",
    "energy": "Energy",
    "": "Requests and tokens",
    "tokens": "Tokens in the engine",
    "utilisation": "Utilisation",
    "tokenizer": "Tokenizer",
    "by_stage": "Each stage of the cascade",
    "replicas": "Replicas",
    "by_replica": "Each replica",
}
"""Title of each part of ``counters``, in reading order; the empty name holds the numbers that stand by themselves."""

TASKS = "tasks"


@dataclass(frozen=True, slots=True)
class ByTask:
    """Counters of single tasks: a name a column, and (task, run, one text a column) a line."""

    names: tuple[str, ...]
    lines: tuple[tuple[str, str, tuple[str, ...]], ...]


def groups(counters: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, Facts], ...]:
    """(title, rows) of each part, over the union of all runs' names; parts of unknown names come last."""
    parts = [_parts(one) for one in counters]
    found = dict.fromkeys(name for part in parts for name in part)
    order = [*(name for name in TITLES if name in found), *(name for name in found if name not in TITLES)]
    return tuple(
        (TITLES.get(name, name), side_by_side([part.get(name, {}) for part in parts], _writer(name))) for name in order
    )


def by_task(labels: Sequence[str], counters: Sequence[Mapping[str, Any]]) -> ByTask | None:
    """The counters of single tasks; None where no run has any."""
    flat: list[tuple[str, str, dict[str, Any]]] = []
    for label, one in zip(labels, counters, strict=True):
        tasks = one.get(TASKS)
        for task, values in tasks.items() if isinstance(tasks, Mapping) else ():
            if isinstance(values, Mapping):
                flat.append((str(task), label, {" › ".join(path): value for path, value in numbers.flatten(values)}))
    names = tuple(dict.fromkeys(name for _, _, values in flat for name in values))
    if not names:
        return None
    return ByTask(
        names,
        tuple(
            (
                task,
                label,
                tuple(numbers.counter(name, values[name]) if name in values else numbers.MISSING for name in names),
            )
            for task, label, values in flat
        ),
    )


def _parts(counters: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Part -> its counters; single numbers go to the part of the empty name, those of tasks are left to by_task."""
    parts: dict[str, dict[str, Any]] = {}
    for name, value in counters.items():
        if isinstance(value, Mapping) and value:
            rest = {k: v for k, v in value.items() if not (name == TASKS and isinstance(v, Mapping))}
            if rest:
                parts.setdefault(str(name), {}).update(rest)
        else:
            parts.setdefault("", {})[str(name)] = value
    return parts


def _writer(part: str) -> Any:
    """The part's own name may hold the unit (seconds.load)."""
    return lambda name, value: numbers.counter(f"{part}.{name}" if part else name, value)
