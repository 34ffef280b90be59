"""`evalkit.register_task`, `register_backend`, `register_metric`, `register_grader`: the doors of packages, open to a
program.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast, overload

from evalkit.contract import registry
from evalkit.contract.errors import UserError

T = TypeVar("T")


@overload
def register_task(name: str, task: T, *, replace: bool = False) -> T: ...
@overload
def register_task(name: str, *, replace: bool = False) -> Callable[[T], T]: ...
def register_task(name: str, task: Any = None, *, replace: bool = False) -> Any:
    """Offer a task by name in this process: to `evalkit.evaluate`, in groups of names, and in `evalkit.tasks()`.

    ``task`` is a `Task` object; a `Benchmark`, class or object; a class or function that makes a `Task`, called with
    those of ``num_fewshot``, ``sample``, ``seed``, ``gen_kwargs`` and ``metrics`` that it has parameters for; or a
    folder that holds task.yaml files. Without it, a decorator. Raises UserError, with both places, for a taken name.
    """
    return _register(registry.TASK_OBJECTS, name, task, replace)


@overload
def register_backend(name: str, load: T, *, replace: bool = False) -> T: ...
@overload
def register_backend(name: str, *, replace: bool = False) -> Callable[[T], T]: ...
def register_backend(name: str, load: Any = None, *, replace: bool = False) -> Any:
    """Offer a backend by name in this process: ``load(model: ModelSpec, engine: EngineSpec) -> Backend``.

    Without ``load``, a decorator. Raises UserError, with both places, for a name that is taken.
    """
    return _register(registry.BACKENDS, name, load, replace)


def register_metric(name: str | T, metric: T | None = None, *, replace: bool = False) -> T:
    """Offer a metric by name in this process, to task files and to ``metrics=``: ``register_metric(metric)`` by its own
    name, or ``register_metric("choice.acc2", metric)``. Returns the metric.

    Raises UserError, with both places, for a name that is taken.
    """
    if metric is None:
        return cast(T, _register(registry.METRICS, getattr(name, "name", name), name, replace))
    return cast(T, _register(registry.METRICS, name, metric, replace))


@overload
def register_grader(name: str, make: T, *, replace: bool = False) -> T: ...
@overload
def register_grader(name: str, *, replace: bool = False) -> Callable[[T], T]: ...
def register_grader(name: str, make: Any = None, *, replace: bool = False) -> Any:
    """Offer a grader by name in this process: ``make(args) -> Grader`` (`evalkit.contract.grading`).

    Without ``make``, a decorator. Raises UserError, with both places, for a name that is taken.
    """
    return _register(registry.GRADERS, name, make, replace)


def _register(group: str, name: Any, value: Any, replace: bool) -> Any:
    if not isinstance(name, str):
        raise UserError(f"register: the name comes first, as a text; here is a {type(name).__name__}")
    if isinstance(value, str) and group != registry.TASK_OBJECTS:
        raise UserError(f"register: {value!r} is a text, and no {group.rpartition('.')[2].removesuffix('s')}")
    if value is not None:
        origin = registry.defined_at(value, 3)
        if group == registry.TASK_OBJECTS and isinstance(value, str | Path):
            group, value = registry.TASKS, Path(value)
        registry.register(group, name, value, origin=origin, replace=replace)
        return value

    def decorate(defined: Any) -> Any:
        registry.register(group, name, defined, origin=registry.defined_at(defined, 2), replace=replace)
        return defined

    return decorate
