"""Per-item scores of a run, from its directory or from a saved baseline: what comparing and gating need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.contract.clusters import shared_field
from evalkit.contract.errors import UserError
from evalkit.contract.groups import leaves
from evalkit.spec.config import measurement_of
from evalkit.spec.models import RunSpec
from evalkit.store import RunDir
from evalkit.store.rows import join_keys, metrics_of, title_of
from evalkit.text.reading import parse_json

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.contract.types import Bounds, GroupResult, RunResult, TaskResult

KEY_LENGTH = 12
"""Hexadecimal digits of the document's hash that items are joined by: 48 bits, so that a baseline file stays small."""
PROMPT_LENGTH = 6
COLUMNS = ("doc_id", "doc_hash", "prompt_hash", "status", "document", "prompt", "metrics", "statistics")


@dataclass(frozen=True, slots=True)
class Series:
    """One metric over a task's items, in the task's item order; None where an item has no value.

    ``aggregate`` names the function that makes the published number of them (`metrics.finding.combine_of`); corpus
    metrics hold tuples of sufficient statistics.
    """

    values: tuple[float | tuple[float, ...] | None, ...]
    aggregate: str
    higher_is_better: bool
    unit: str = ""
    bounds: Bounds | None = None


@dataclass(frozen=True, slots=True)
class TaskScores:
    """One task's items: join keys, prompt hashes, what they share, and every metric's per-item values."""

    name: str
    version: str
    num_fewshot: int
    sample: bool
    primary: str
    keys: tuple[str, ...]
    prompts: tuple[str, ...]
    series: Mapping[str, Series]
    published: Mapping[str, float | None]
    n: int
    n_error: int
    n_unscored: int
    n_total: int | None = None
    """Items that the task has; None where a file of an earlier version does not say it."""
    clusters: tuple[str, ...] | None = None
    cluster_field: str = ""
    titles: tuple[str, ...] = ()
    rising: Mapping[str, bool] = field(default_factory=dict)
    """Of every published metric whether higher is better."""


@dataclass(frozen=True, slots=True)
class RunScores:
    """A run as comparisons see it."""

    label: str
    source: str
    tasks: Mapping[str, TaskScores]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Group -> its leaf tasks, where the group has an average."""
    counters: Mapping[str, Any] = field(default_factory=dict)
    hardware: Any = None
    partial: bool = False
    saved: bool = False
    """Read from a baseline file, which has no documents."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """What was asked, as settings (`spec.config.measurement_of`); empty where it is not known."""


def scores_of_run(path: Path, cluster_by: str | None = None) -> RunScores:
    """Scores of a run directory.

    ``cluster_by`` names the document field that items share, "none" for independent items; by default one of
    `contract.clusters.CLUSTER_FIELDS` whose values repeat. Raises UserError where no run is.
    """
    run = RunDir.open(path)
    result = run.result()
    present = set(run.tasks())
    tasks = {
        task.info.name: task_scores(run.samples(task.info.name, COLUMNS), task, cluster_by)
        for task in result.tasks
        if task.info.name in present
    }
    if not tasks:
        raise UserError(f"{path}: the run has no samples to pair: run it again with a version that writes samples/")
    return RunScores(
        label=result.label or path.name,
        source=str(path),
        tasks=tasks,
        groups=groups_of(result.groups, tasks),
        counters=result.counters,
        hardware=_hardware(result),
        partial=result.partial,
        asked=_asked(result.spec),
    )


def _asked(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a record of settings asked; nothing where a later or earlier version wrote it."""
    try:
        return measurement_of(RunSpec.model_validate(dict(spec)))
    except ValueError:
        return {}


def _hardware(result: RunResult) -> dict[str, Any]:
    """What must be the same before two speeds can be compared: processor, GPUs and the device that was used."""
    environment = result.environment
    gpus = [gpu.get("name") if isinstance(gpu, Mapping) else gpu for gpu in environment.get("gpus") or ()]
    return {"cpu": environment.get("cpu"), "gpus": gpus, "device": result.model.get("device")}


def groups_of(groups: Sequence[GroupResult], tasks: Mapping[str, TaskScores]) -> dict[str, tuple[str, ...]]:
    """Leaves of every group that has an average."""
    children = {group.group.name: group.group.children for group in groups}

    averaged = [group.group.name for group in groups if group.micro or group.macro]
    return {name: tuple(leaf for leaf in leaves(name, children) if leaf in tasks) for name in averaged}


def task_scores(frame: pd.DataFrame, task: TaskResult, cluster_by: str | None) -> TaskScores:
    """Of a task by the rows of its samples file (`COLUMNS`)."""
    field_name, clusters = _clusters(frame, cluster_by)
    return TaskScores(
        name=task.info.name,
        version=task.info.version,
        num_fewshot=task.info.num_fewshot,
        sample=task.info.sample,
        primary=task.info.primary,
        keys=tuple(join_keys([str(value)[:KEY_LENGTH] for value in frame["doc_hash"]])),
        prompts=tuple(str(value)[:PROMPT_LENGTH] for value in frame["prompt_hash"]),
        series=_series(frame, task),
        published={metric.key: metric.value for metric in task.metrics},
        n=task.n,
        n_error=task.n_error,
        n_unscored=task.n_unscored,
        n_total=task.n_total,
        clusters=clusters,
        cluster_field=field_name,
        titles=_titles(frame),
        rising={metric.key: metric.higher_is_better for metric in task.metrics},
    )


def _series(frame: pd.DataFrame, task: TaskResult) -> dict[str, Series]:
    """Per-item values of every published metric that keeps some; sufficient statistics where a metric has them."""
    scored = [status == "ok" for status in frame["status"]]
    metrics = [metrics_of({"metrics": value}) for value in frame["metrics"]]
    statistics = [_decode(value) for value in frame["statistics"]]
    found = {}
    for metric in task.metrics:
        key = metric.key
        values: list[float | tuple[float, ...] | None] = []
        for ok, row, extra in zip(scored, metrics, statistics, strict=True):
            sufficient = extra.get(key) if isinstance(extra, Mapping) else None
            value = tuple(float(part) for part in sufficient) if isinstance(sufficient, Sequence) else row.get(key)
            values.append(value if ok else None)
        if any(value is not None for value in values):
            found[key] = Series(tuple(values), metric.aggregator, metric.higher_is_better, metric.unit, metric.bounds)
    return found


def _clusters(frame: pd.DataFrame, cluster_by: str | None) -> tuple[str, tuple[str, ...] | None]:
    """(field, label of each item) of what items share; ("", None) for independent items."""
    if cluster_by == "none":
        return "", None
    return shared_field([_decode(value) for value in frame["document"]], cluster_by)


def _titles(frame: pd.DataFrame) -> tuple[str, ...]:
    rows = zip(frame["document"], frame["prompt"], strict=True)
    return tuple(title_of(document, prompt) for document, prompt in rows)


def _decode(value: Any) -> Any:
    if not isinstance(value, str):
        return None
    try:
        return parse_json(value)
    except ValueError:
        return None
