"""evalkit's runner on the mirror, its answers read back from the run directory that it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lm_eval_side import Answered

from evalkit.contract.types import TaskResult
from evalkit.runner.evaluate import execute
from evalkit.spec.models import ModelSpec, RunSpec, TaskSpec
from evalkit.store import RunDir


def run(model: ModelSpec, tasks: Sequence[TaskSpec], mirror: Path, folder: Path, **options: Any) -> dict[str, Answered]:
    """Carry out a run into ``folder``; what it says of each task, by the task's name."""
    result = execute(RunSpec(model=model, tasks=tuple(tasks), data_dir=mirror, output=folder, **options))
    directory = RunDir.open(folder)
    return {task.info.name: _answered(directory, task) for task in result.tasks}


def _answered(directory: RunDir, task: TaskResult) -> Answered:
    table = directory.samples(task.info.name, ["doc_id", "status", "responses"]).sort_values("doc_id")
    assert set(table["status"]) == {"ok"}
    documents = tuple(tuple(_plain(response) for response in responses) for responses in table["responses"])
    metrics = {metric.key: (metric.value, metric.stderr) for metric in task.metrics if metric.value is not None}
    means = frozenset(metric.key for metric in task.metrics if "agg:mean" in metric.signature)
    return Answered(documents, metrics, means)


def _plain(response: dict[str, Any]) -> Any:
    """An answer in the shape of lm-eval's."""
    if response["text"] is not None:
        return response["text"]
    return (response["loglikelihood"], response["is_greedy"])
