"""Tasks that are Python objects: registered by a name, or handed over as they are."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.contract import registry
from evalkit.contract.errors import UserError
from evalkit.contract.types import Shots, Task
from evalkit.spec.models import RunSpec, TaskSpec


def is_registered(name: str) -> bool:
    """Whether a name, perhaps with "@5shot", is that of a task object."""
    return name.partition("@")[0] in registry.names(registry.TASK_OBJECTS)


def resolve(entry: TaskSpec, spec: RunSpec, given: Sequence[Task], shots: Shots | None) -> tuple[Task, list[str]]:
    """The task of an entry, with notes on settings that it leaves aside; ``shots``: what the user asks for.

    Raises UserError where the object is not there, and for settings of the entry that a registered task does not take.
    """
    if entry.given is None:
        asked = {
            "num_fewshot": None if shots is None else shots.number,
            "sample": (spec.sample or entry.sample) or None,
            "gen_kwargs": spec.gen_kwargs or None,
            "seed": spec.seed,
        }
        return _made(entry.name, asked)
    task = next((one for one in given if one.info.name == entry.name), None)
    if task is None:
        raise UserError(entry.given.missing(f"the task {entry.name}"))
    left = {"num_fewshot": spec.num_fewshot, "gen_kwargs": spec.gen_kwargs, "metrics": spec.metrics}
    return task, _left_aside(entry.name, left)


def build(name: str) -> Task:
    """A registered task with its own settings. UserError where what was registered makes no task."""
    return _made(name, {})[0]


def _made(name: str, asked: Mapping[str, Any]) -> tuple[Task, list[str]]:
    """Call what was registered with those settings that it has parameters for."""
    found = registry.load(registry.TASK_OBJECTS, name)
    where = registry.provider(registry.TASK_OBJECTS, name)
    taken: dict[str, Any] = {}
    if inspect.isclass(found) or not isinstance(found, Task):
        if not callable(found):
            raise UserError(f"task {name} ({where}): neither a task nor a function or class that makes one")
        parameters = inspect.signature(found).parameters
        taken = {key: value for key, value in asked.items() if key in parameters and value is not None}
        try:
            found = found(**taken)
        except TypeError as error:
            raise UserError(f"task {name} ({where}): cannot be made: {error}") from error
    if not isinstance(found, Task):
        raise UserError(
            f"task {name} ({where}): a {type(found).__name__} is no task: it needs info, documents, requests, score "
            "and summarize (evalkit.Task)"
        )
    if found.info.name != name:
        raise UserError(f"task {name} ({where}): its info.name is {found.info.name!r}: register it by that name")
    left = {key: value for key, value in asked.items() if key not in taken and key != "seed"}
    return found, _left_aside(name, left)


def _left_aside(name: str, settings: Mapping[str, Any]) -> list[str]:
    return [
        f"{name}: the task is an object with settings of its own: {key} ({value}) is not applied to it"
        for key, value in settings.items()
        if value not in (None, {}, ())
    ]
