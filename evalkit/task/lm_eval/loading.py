"""From a name to tasks and groups: lm-eval's registry, its overrides, and what evalkit must know of each task."""

from __future__ import annotations

import fnmatch
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from evalkit.contract.errors import UserError
from evalkit.contract.registry import did_you_mean
from evalkit.contract.types import DatasetRef, Group, Kind, Shots, Task, TaskInfo
from evalkit.data.sources import mirror_folder
from evalkit.spec.models import RunSpec, TaskSpec
from evalkit.task import shots
from evalkit.task.lm_eval.index import manager
from evalkit.task.lm_eval.mirror import MISSING_FEWSHOT, served
from evalkit.task.lm_eval.plain import plain
from evalkit.task.lm_eval.task import LmEvalTask, quiet

PREFIX = "lm_eval:"
_KINDS: Mapping[str, Kind] = {
    "multiple_choice": "multiple_choice",
    "loglikelihood": "score",
    "loglikelihood_rolling": "rolling",
    "generate_until": "generate",
}


class Found(NamedTuple):
    """The tasks and groups behind a name."""

    tasks: tuple[Task, ...]
    groups: tuple[Group, ...]


def resolve(name: str, task_spec: TaskSpec, run_spec: RunSpec, wanted_shots: Shots | None = None) -> Found:
    """The tasks and groups behind a task, group, tag, pattern or YAML file of lm-eval, ready to make requests.

    Names are lm-eval's own, without "lm_eval:", so that tools find them; see :func:`apart` for names that clash. Data
    sets are loaded here, from the mirror where the run has one. Raises UserError for unknown names (with near ones),
    for tasks that cannot be built, run code written by a model or ask about sound, and MissingExtra without lm-eval.
    """
    wanted = name.removeprefix(PREFIX)
    if task_spec.sample or run_spec.sample:
        raise UserError(f"lm_eval:{wanted}: lm-eval's tasks have no bundled items; leave --bundled out, or use --limit")
    index = manager(tuple(map(str, run_spec.include_path)))
    tasks: dict[str, Any] = {}
    groups: dict[str, Any] = {}
    for one in _names(index, wanted):
        built = _build(index, one, mirror_folder(run_spec.data_dir))
        tasks.update(built["tasks"])
        groups.update(built.get("groups", {}))
    number = wanted_shots or shots.asked(task_spec, run_spec)
    return Found(
        tuple(_task(task, key, number, run_spec) for key, task in tasks.items()),
        tuple(_group(group) for group in groups.values()),
    )


def rename(task: Task, new_name: str) -> Task:
    """The same task under another name in results, where lm-eval's own is taken."""
    if not isinstance(task, LmEvalTask):
        raise TypeError(f"{task.info.name} is not a task of lm-eval")
    return task.renamed(new_name)


def apart(found: Found, taken: Collection[str]) -> Found:
    """``found`` with "lm_eval:NAME" for every task and group whose name is among ``taken``, in groups' children too."""
    every = [*(task.info.name for task in found.tasks), *(group.name for group in found.groups)]
    names = {name: f"{PREFIX}{name}" for name in every if name in taken}
    return Found(
        tuple(rename(task, names.get(task.info.name, task.info.name)) for task in found.tasks),
        tuple(
            replace(
                group,
                name=names.get(group.name, group.name),
                children=tuple(names.get(child, child) for child in group.children),
            )
            for group in found.groups
        ),
    )


def available(include_path: Sequence[Path] = ()) -> tuple[str, ...]:
    """Names of all tasks, groups and tags that lm-eval has, sorted. Takes seconds the first time."""
    return tuple(manager(tuple(map(str, include_path))).all_tasks)


def _names(index: Any, wanted: str) -> list[str]:
    """The registered names or the YAML file that ``wanted`` stands for."""
    if wanted in index.task_index or (wanted.endswith((".yaml", ".yml")) and Path(wanted).is_file()):
        return [wanted]
    if any(char in wanted for char in "*?["):
        found = fnmatch.filter(index.all_subtasks, wanted)
        if found:
            return found
    hint = did_you_mean(wanted, index.all_tasks)
    raise UserError(f"lm-eval has no task, group or tag {wanted!r}{hint}; see `lm_eval ls tasks` for all")


def _build(index: Any, name: str, folder: Path | None) -> dict[str, Any]:
    try:
        with served(folder), quiet(), _lm_eval_seeds():
            return index.load([name])
    except UserError as error:
        raise UserError(f"lm_eval:{name}: {error}") from error
    except ImportError as error:
        raise UserError(f"lm_eval:{name} needs a package that is not installed: {error}") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"lm_eval:{name}: lm-eval cannot build it: {type(error).__name__}: {reason}; without a network, give a "
            "mirror that has its data set (--data-dir)"
        ) from error


@contextmanager
def _lm_eval_seeds() -> Iterator[None]:
    """The global generators as lm-eval seeds them by default: some tasks shuffle their choices with them."""
    import numpy as np

    before, before_numpy = random.getstate(), np.random.get_state()
    random.seed(0)
    np.random.seed(1234)
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(before_numpy)


def _task(task: Any, name: str, wanted: Shots | None, run_spec: RunSpec) -> LmEvalTask:
    if getattr(task, "UNSAFE_CODE", False):
        raise UserError(
            f"lm_eval:{name} runs code that the model writes in its own process; evalkit runs such code in its sandbox "
            "only: take its own tasks (humaneval, mbpp, ...; docs/code.md)"
        )
    if getattr(task, "MULTIMODAL", False) and task.get_config("doc_to_audio"):
        raise UserError(f"lm_eval:{name} asks about sound, which evalkit's models do not take")
    decided = shots.of_lm_eval(task.get_config("num_fewshot"), wanted)
    _override(task, decided.number, run_spec.gen_kwargs)
    missing = getattr(task, MISSING_FEWSHOT, None)
    if decided.number and missing:
        raise UserError(
            f"lm_eval:{name}: {decided.number} shots come from the split {missing!r}, which the data folder lacks; "
            "add it with `evalkit data pull`, or use --num-fewshot 0"
        )
    return LmEvalTask(_info(task, name, decided), task, run_spec.seed)


def _override(task: Any, num_fewshot: int, gen_kwargs: Mapping[str, Any]) -> None:
    """Write what was decided into lm-eval's own task."""
    if gen_kwargs and task.get_config("output_type") == "generate_until":
        task.set_config("generation_kwargs", {**(task.get_config("generation_kwargs") or {}), **gen_kwargs})
    if task.get_config("num_fewshot") != num_fewshot:
        task.set_config("num_fewshot", num_fewshot)


def _info(task: Any, name: str, decided: Shots) -> TaskInfo:
    config = task.config
    metric = next(iter(_metric_names(task)), "acc")
    tags = task.get_config("tag") or ()
    path = getattr(task, "DATASET_PATH", None)
    kwargs = task.get_config("dataset_kwargs") or {}
    return TaskInfo(
        name=name,
        version=str(task.VERSION),
        kind=_KINDS.get(str(task.OUTPUT_TYPE), "generate"),
        dataset=DatasetRef(str(path), getattr(task, "DATASET_NAME", None), kwargs.get("revision")) if path else None,
        split=config.test_split or config.validation_split or "test",
        num_fewshot=decided.number,
        shots=decided,
        primary=f"{metric},{task._filters[0].name}",
        higher_is_better={key: bool(value) for key, value in task.higher_is_better().items()},
        description="a task of lm-evaluation-harness",
        alias=task.get_config("task_alias"),
        tags=(tags,) if isinstance(tags, str) else tuple(tags),
        config={"lm_eval": True, **_config(task)},
    )


def _metric_names(task: Any) -> tuple[str, ...]:
    """The metrics that a task says it has, in its order."""
    return tuple(getattr(task, "_metric_fn_list", None) or task.aggregation())


def _config(task: Any) -> dict[str, Any]:
    """lm-eval's resolved configuration as JSON values, without this machine's folders."""
    config = plain(task.dump_config())
    metadata = config.get("metadata")
    if isinstance(metadata, dict) and "config_source" in metadata:
        source = str(metadata["config_source"])
        metadata["config_source"] = (
            source.rpartition("lm_eval/tasks/")[2] if "lm_eval/tasks/" in source else Path(source).name
        )
    return config


def _group(group: Any) -> Group:
    """evalkit's group: keys to average, with the filters of its tasks where the group names none."""
    leaves = group.get_all_tasks()
    filters = sorted({ensemble.name for task in leaves for ensemble in task._filters})
    # Some of lm-eval's groups name a metric that none of their tasks has; lm-eval leaves it out, too.
    known = {name for task in leaves for name in _metric_names(task)}
    keys = [
        f"{one.metric},{name}"
        for one in group.aggregate_metric_list or ()
        if one.metric in known
        for name in (one.filter_list if one.filter_list is not None else filters)
    ]
    return Group(
        name=group.name,
        children=tuple(group.child_names),
        version=group.version,
        alias=group.alias,
        aggregate=tuple(keys),
    )
