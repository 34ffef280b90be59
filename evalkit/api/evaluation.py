"""`evalkit.evaluate`: models and tasks, by name or as objects, become a `Run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

from evalkit.api.observing import Onlooker
from evalkit.api.run import Run
from evalkit.api.running import carry_out
from evalkit.api.settings import ModelSettings, Settings, run_spec
from evalkit.contract.backend import Backend, TextBackend, TokenBackend
from evalkit.contract.errors import UserError
from evalkit.contract.store import Progress
from evalkit.contract.types import ModelInfo, Task, TaskInfo
from evalkit.runner.evaluate import Live
from evalkit.task.objects import as_maker, name_of

if TYPE_CHECKING:
    from evalkit.task.benchmark import Benchmark
    from evalkit.task.live import Maker

Model: TypeAlias = str | Backend
TaskLike: TypeAlias = "str | Task | Benchmark | type[Benchmark] | Mapping[str, Any]"


def evaluate(
    model: Model,
    tasks: TaskLike | Sequence[TaskLike],
    *,
    limit: float | str | None = None,
    num_fewshot: int | None = None,
    data_dir: str | Path | None = None,
    output: str | Path | None = None,
    cache: str | Path | None = None,
    resume: bool = False,
    progress: bool | Progress = True,
    **settings: Unpack[Settings],
) -> Run:
    """Score ``model`` on ``tasks``; everything is kept in a run directory, as `evalkit run` keeps it.

    >>> import evalkit
    >>> run = evalkit.evaluate("mock", ["boolq@sample", "triviaqa@sample"], progress=False)
    >>> run["boolq"]["acc"].n
    24

    ``model`` is what ``--model`` takes (a Hub id, a folder, a URL, a name), or a `Backend` object, which is left open.
    ``tasks`` are what ``--tasks`` takes ("mmlu@5shot", "boolq,triviaqa", "lm_eval:gsm8k"), mappings with ``name``,
    ``num_fewshot``, ``limit`` and ``sample``, `Task` objects, `Benchmark` classes or objects, or a list of any of them.
    ``limit`` is a number of documents a task, below 1 a share of them, or a text such as "50:random".
    ``output`` is the run's folder (default: a new one in runs/). What is there already is not asked again; with
    ``resume`` it has to be there. ``cache`` is a file or folder of answers that runs share.
    ``progress``: True shows it on the terminal or in the notebook.

    An interrupt (Ctrl-C, the notebook's stop button) ends the run after the batch at work and returns what there is
    (`Run.partial`). Raises UserError for bad input, before the model is loaded wherever that can be known.
    """
    backend, model_entry = as_model(model, settings)
    entries, objects = as_tasks(tasks)
    spec = run_spec(
        {
            **settings,
            "model": model_entry,
            "tasks": entries,
            "limit": limit,
            "num_fewshot": num_fewshot,
            "data_dir": as_path(data_dir),
            "output": as_path(output),
            "cache": as_path(cache),
        }
    )
    if resume and output is None:
        raise UserError("resume=: which run? give its folder by output=")
    onlooker = Onlooker(progress)
    done = carry_out(spec, onlooker, resume, Live(backend, tuple(objects)))
    if done.error_rate > spec.max_error_rate:
        onlooker.note(f"{done.error_rate:.2%} of the items ended in an error; see {done.path}")
    return Run(done.path)


def as_path(path: str | Path | None) -> str | None:
    """A path as a setting."""
    return None if path is None else str(path)


def as_model(model: Any, settings: Mapping[str, Any]) -> tuple[Backend | None, Any]:
    """The object, where there is one, and the entry of the spec that names it or records it."""
    if isinstance(model, str):
        return None, model
    if inspected := _not_a_backend(model):
        raise UserError(f"model=: {inspected}")
    idle = [key for key in settings if key in ModelSettings.__annotations__ and not _mode_only(key, settings[key])]
    if idle or settings.get("replicas", 1) != 1 or settings.get("executor", "local") != "local":
        name = idle[0] if idle else "replicas"
        raise UserError(f"{name}=: does not apply to a model that is given as an object: it is loaded already")
    info: ModelInfo = model.info
    given = {"type": _type(model), "fingerprint": info.fingerprint}
    return model, {"name": info.name, "backend": info.backend, "given": given}


def _mode_only(key: str, value: Any) -> bool:
    """``model_args={"mc": "generate"}`` says how tasks are asked, not how a model is loaded."""
    return key == "model_args" and (value == "mc=generate" or (isinstance(value, Mapping) and set(value) == {"mc"}))


def _not_a_backend(model: Any) -> str:
    """What is wrong with a model object; "" for nothing."""
    if isinstance(model, type) or not isinstance(model, (TokenBackend, TextBackend)):
        kind = f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
        return (
            f"{kind} is neither a name nor a backend: an object with info, respond(requests) and close() is one "
            "(evalkit.TextBackend; evalkit.mock makes one of a function)"
        )
    if not isinstance(model.info, ModelInfo) or not model.info.fingerprint or not model.info.name:
        return (
            f"the info of this {type(model).__name__} must be an evalkit.ModelInfo with a name and a fingerprint that "
            "covers everything that can change an answer"
        )
    return ""


def _task_object(task: Any) -> Task | Maker | None:
    if isinstance(task, Task) and not isinstance(task, type) and isinstance(task.info, TaskInfo):
        return task
    return as_maker(task)


def as_tasks(tasks: Any) -> tuple[list[Any], list[Task | Maker]]:
    """Entries of the spec, and the objects among them."""
    if isinstance(tasks, str):
        tasks = [part.strip() for part in tasks.split(",") if part.strip()]
    if isinstance(tasks, Mapping) or not isinstance(tasks, Sequence):
        tasks = [tasks]
    objects: list[Task | Maker] = []
    entries: list[Any] = []
    for place, task in enumerate(tasks):
        if isinstance(task, str):
            entries += [part.strip() for part in task.split(",") if part.strip()]
        elif isinstance(task, Mapping):
            entries.append(dict(task))
        elif (made := _task_object(task)) is not None:
            name = name_of(made)
            if any(name_of(other) == name for other in objects):
                raise UserError(f"tasks[{place}]=: there are two task objects called {name}: rename one")
            objects.append(made)
            entries.append({"name": name, "given": {"type": _type(made) if isinstance(made, Task) else made.type}})
        else:
            kind = f"the class {task.__name__}" if isinstance(task, type) else f"a {type(task).__name__}"
            raise UserError(
                f"tasks[{place}]=: {kind} is neither a name, a mapping nor a task: an object with info, documents, "
                "requests, score and summarize is one (evalkit.Task)"
            )
    return entries, objects


def _type(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
