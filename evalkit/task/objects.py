"""Tasks that are Python objects: registered by a name, or handed over as they are."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evalkit.contract import registry
from evalkit.contract.errors import UserError
from evalkit.contract.types import Shots, Task
from evalkit.spec.models import RunSpec, TaskSpec
from evalkit.task.shots import by_flag

if TYPE_CHECKING:
    from evalkit.task.live import Maker


def is_registered(name: str) -> bool:
    """Whether a name, perhaps with "@5shot", is that of a task object."""
    return name.partition("@")[0] in registry.names(registry.TASK_OBJECTS)


def resolve(
    entry: TaskSpec, spec: RunSpec, given: Sequence[Task | Maker], shots: Shots | None
) -> tuple[Task, list[str]]:
    """The task of an entry, with notes on settings that it leaves aside; ``shots``: what the user asks for.

    Raises UserError where the object is not there, and for settings of the entry that a registered task does not take.
    """
    if entry.given is None:
        found = registry.load(registry.TASK_OBJECTS, entry.name)
        if (benchmark := as_maker(found)) is not None:
            _same_name(entry.name, benchmark.name)
            return _of_benchmark(benchmark, entry, spec, shots)
        asked = {
            "num_fewshot": None if shots is None else shots.number,
            "sample": (spec.sample or entry.sample) or None,
            "gen_kwargs": spec.gen_kwargs or None,
            "metrics": spec.metrics or None,
            "seed": spec.seed,
        }
        return _made(entry.name, asked)
    task = next((one for one in given if name_of(one) == entry.name), None)
    if task is None:
        raise UserError(entry.given.missing(f"the task {entry.name}"))
    if not isinstance(task, Task):
        return _of_benchmark(task, entry, spec, by_flag(spec.num_fewshot))
    left = {"num_fewshot": spec.num_fewshot, "gen_kwargs": spec.gen_kwargs, "metrics": spec.metrics}
    return task, _left_aside(entry.name, left)


def _of_benchmark(maker: Maker, entry: TaskSpec, spec: RunSpec, shots: Shots | None) -> tuple[Task, list[str]]:
    task = maker(
        sample=spec.sample or entry.sample,
        seed=spec.seed,
        gen_kwargs=spec.gen_kwargs,
        metrics=spec.metrics,
        shots=shots,
    )
    return task, list(task.traits.warnings)


def name_of(task: Task | Maker) -> str:
    """What a task is called, made or to be made."""
    return task.info.name if isinstance(task, Task) else task.name


def as_maker(value: Any) -> Maker | None:
    """What makes tasks of a `Benchmark`, class or object; None for anything else."""
    from evalkit.task.live import maker

    return maker(value)


def build(name: str) -> Task:
    """A registered task with its own settings. UserError where what was registered makes no task."""
    return _made(name, {})[0]


def _made(name: str, asked: Mapping[str, Any]) -> tuple[Task, list[str]]:
    """Call what was registered with those settings that it has parameters for."""
    found = registry.load(registry.TASK_OBJECTS, name)
    where = registry.provider(registry.TASK_OBJECTS, name)
    taken: dict[str, Any] = {}
    found = as_maker(found) or found
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
    _same_name(name, found.info.name)
    left = {key: value for key, value in asked.items() if key not in taken and key != "seed"}
    return found, _left_aside(name, left)


def _same_name(name: str, own: str) -> None:
    if own != name:
        where = registry.provider(registry.TASK_OBJECTS, name)
        raise UserError(f"task {name} ({where}): its own name is {own!r}: register it by that name")


def _left_aside(name: str, settings: Mapping[str, Any]) -> list[str]:
    return [
        f"{name}: the task is an object with settings of its own: {key} ({value}) is not applied to it"
        for key, value in settings.items()
        if value not in (None, {}, ())
    ]
