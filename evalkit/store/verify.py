"""`evalkit verify RUN_DIR`: do the numbers follow from the samples, and are the samples what they say they are?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import fsum, isclose
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import UserError
from evalkit.contract.groups import leaves
from evalkit.contract.types import MEAN, MetricResult, RunResult, TaskResult
from evalkit.store import samples
from evalkit.store.files import read_json
from evalkit.store.rundir import RESULTS, RunDir
from evalkit.text.reading import parse_json

if TYPE_CHECKING:
    from pandas import DataFrame

TOLERANCE = 1e-9
"""Relative difference that the order of a sum can make."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that does not match; ``task`` is empty where it concerns the whole run."""

    task: str
    message: str

    def __str__(self) -> str:
        return f"{self.task}: {self.message}" if self.task else self.message


def verify(run_dir: Path | RunDir) -> list[Problem]:
    """Everything in a run directory that does not match itself; empty: all hashes, counts and means agree.

    Raises UserError if there is no readable run at all.
    """
    run = run_dir if isinstance(run_dir, RunDir) else RunDir.open(run_dir)
    result = run.result()
    problems: list[Problem] = []
    for task in result.tasks:
        problems += [Problem(task.info.name, message) for message in _task(run, task)]
    problems += [Problem("", message) for message in _groups(result)]
    problems += [Problem("", message) for message in _layout(run, result)]
    return problems


def not_recomputed(run_dir: Path | RunDir) -> tuple[str, ...]:
    """Metrics that `verify` takes at their word, for they are no means of values that the samples hold: of a corpus as
    a whole, or of groups of items.
    """
    run = run_dir if isinstance(run_dir, RunDir) else RunDir.open(run_dir)
    return tuple(
        f"{task.info.name}: {metric.key}"
        for task in run.result().tasks
        for metric in task.metrics
        if not is_mean(metric)
    )


def is_mean(metric: MetricResult) -> bool:
    """Whether the metric is the plain mean of values that the samples hold."""
    return metric.aggregator == MEAN and metric.level == "item"


def _task(run: RunDir, task: TaskResult) -> Iterator[str]:
    try:
        frame = run.samples(task.info.name)
    except UserError as error:
        yield str(error)
        return
    yield from _hashes(frame)
    if len(frame) != task.n:
        yield f"{len(frame)} samples are kept, results.json counts {task.n}"
    for status, count in (("ok", task.n_ok), ("unscored", task.n_unscored), ("error", task.n_error)):
        found = int((frame["status"] == status).sum())
        if found != count:
            yield f"{found} samples have status {status}, results.json counts {count}"
    scored = frame[frame["status"] == "ok"]
    for metric in task.metrics:
        if is_mean(metric):
            values = [v for v in (row.get(metric.key) for row in scored["metrics"]) if v is not None and v == v]
            yield from _mean(metric, values)


def _hashes(frame: DataFrame) -> Iterator[str]:
    checks = {
        "document": lambda row: samples.sha256(row.document) == row.doc_hash,
        "prompt": lambda row: samples.sha256(row.prompt) == row.prompt_hash,
        "target": lambda row: samples.target_hash(parse_json(row.target)) == row.target_hash,
    }
    wrong: dict[str, list[int]] = {name: [] for name in checks}
    row: Any
    for row in frame.itertuples():
        for name, holds in checks.items():
            if not holds(row):
                wrong[name].append(int(row.doc_id))
    for name, ids in wrong.items():
        if ids:
            more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
            yield f"the {name} does not match its hash in doc_id {', '.join(map(str, ids[:5]))}{more}"


def _mean(metric: MetricResult, values: list[float]) -> Iterator[str]:
    if len(values) != metric.n:
        yield f"{metric.key}: {len(values)} samples have a value, results.json says n = {metric.n}"
    mean = fsum(values) / len(values) if values else None
    if not _same(mean, metric.value):
        yield f"{metric.key}: the samples' mean is {mean}, results.json says {metric.value}"


def _same(a: float | None, b: float | None) -> bool:
    if a is None or b is None:
        return a is b
    return isclose(a, b, rel_tol=TOLERANCE, abs_tol=1e-12)


def _groups(result: RunResult) -> Iterator[str]:
    """Micro averages as the document-weighted mean over the group's leaves."""
    tasks = {task.info.name: task for task in result.tasks}
    children = {g.group.name: g.group.children for g in result.groups}

    for group in result.groups:
        members = [tasks[leaf] for leaf in leaves(group.group.name, children) if leaf in tasks]
        for metric in group.micro:
            parts = [m for task in members for m in task.metrics if m.key == metric.key and m.value is not None]
            if not parts or not all(is_mean(part) for part in parts):
                continue
            total = sum(part.n for part in parts)
            value = fsum((part.value or 0.0) * part.n for part in parts) / total if total else None
            if not _same(value, metric.value):
                yield f"group {group.group.name}: {metric.key}: the tasks' mean is {value}, not {metric.value}"


def _layout(run: RunDir, result: RunResult) -> Iterator[str]:
    """lm-eval's keys and our records are two copies of the same numbers; the sample hashes must match too."""
    content: dict[str, Any] = read_json(run.path / RESULTS, "results")
    rows = content.get("results", {})
    for task in result.tasks:
        for metric in task.metrics:
            shown = rows.get(task.info.name, {}).get(metric.key)
            if shown != metric.value:
                yield f"results.json: results.{task.info.name}.{metric.key} is {shown}, the records say {metric.value}"
    recorded = content.get("task_hashes", {})
    try:
        hashes = run.task_hashes()
    except UserError as error:
        yield str(error)
        return
    for name in sorted(set(recorded) | set(hashes)):
        if recorded.get(name) != hashes.get(name):
            yield f"results.json: task_hashes.{name} does not match the samples"
