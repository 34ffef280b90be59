"""A run as a program sees it: its numbers by task and metric, its samples as frames, its report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.analysis.baseline import save_baseline
from evalkit.contract.errors import UserError
from evalkit.contract.registry import did_you_mean
from evalkit.contract.types import GroupResult, MetricResult, RunResult, TaskResult
from evalkit.render import interactive
from evalkit.render.notebook import run_html
from evalkit.render.report import write
from evalkit.render.terminal import warnings
from evalkit.store import RunDir
from evalkit.task.groups import leaves
from evalkit.text.reading import parse_json

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

TASK, MICRO, MACRO = "task", "micro", "macro"


class UnknownName(UserError, KeyError):
    """A task, group or metric that is not there; a KeyError too, so that `in` and `get` work as on any mapping."""

    def __str__(self) -> str:
        return str(self.args[0])


class Scores(Mapping[str, MetricResult]):
    """The metrics of one task or group, by key: "acc,none", or "acc" where one filter alone has it.

    Of a group these are the averages over all documents; `macro` holds those over its tasks.
    """

    def __init__(
        self, name: str, metrics: Sequence[MetricResult], primary: str, macro: Sequence[MetricResult] = ()
    ) -> None:
        self.name = name
        self._metrics = {metric.key: metric for metric in metrics}
        self._primary = primary
        self._macro = tuple(macro)

    @property
    def primary(self) -> MetricResult | None:
        """The metric that the task is judged by; None where nothing was scored."""
        return self._metrics.get(self._primary) or next(iter(self._metrics.values()), None)

    @property
    def macro(self) -> Scores:
        """A group's averages in which every task weighs the same; empty for a task."""
        return Scores(self.name, self._macro, self._primary)

    def __getitem__(self, key: str) -> MetricResult:
        if key in self._metrics:
            return self._metrics[key]
        of_name = [metric for metric in self._metrics.values() if metric.name == key]
        if len(of_name) == 1:
            return of_name[0]
        if of_name:
            raise UnknownName(f"{self.name}: {key} has several filters: {', '.join(metric.key for metric in of_name)}")
        raise UnknownName(f"{self.name}: there is no metric {key!r}{did_you_mean(key, self._metrics)}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._metrics)

    def __len__(self) -> int:
        return len(self._metrics)

    def __repr__(self) -> str:
        return (
            f"<{self.name}: {', '.join(f'{key} {_short(one)}' for key, one in self._metrics.items()) or 'no metric'}>"
        )


class Run:
    """A run directory. Numbers are read when they are first asked for; samples each time."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        """The run's folder."""
        self._directory = RunDir.open(self.path)

    @cached_property
    def result(self) -> RunResult:
        """Everything that results.json holds."""
        return self._directory.result()

    @property
    def partial(self) -> bool:
        """Whether the run was interrupted, so that the numbers cover only what was answered."""
        return self.result.partial

    @property
    def error_rate(self) -> float:
        """Share of the evaluated documents that ended in an error."""
        documents = sum(task.n for task in self.result.tasks)
        return sum(task.n_error for task in self.result.tasks) / documents if documents else 0.0

    @property
    def warnings(self) -> list[str]:
        """What a reader must know beside the numbers: samples, limits, errors, items without a score."""
        return warnings(self.result)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return tuple(task.info.name for task in self.result.tasks)

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups that have an average."""
        return tuple(one.group.name for one in self.result.groups if one.micro or one.macro)

    def __getitem__(self, name: str) -> Scores:
        """The metrics of a task or group. Raises UnknownName (a KeyError) for any other name."""
        for task in self.result.tasks:
            if task.info.name == name:
                return Scores(name, task.metrics, task.info.primary)
        for one in self.result.groups:
            if one.group.name == name and (one.micro or one.macro):
                metrics = one.micro or one.macro
                return Scores(name, metrics, metrics[0].key, one.macro)
        raise UnknownName(f"{self.path}: there is no task {name!r}{did_you_mean(name, (*self.tasks, *self.groups))}")

    def __contains__(self, name: object) -> bool:
        return name in self.tasks or name in self.groups

    def __iter__(self) -> Iterator[str]:
        return iter((*self.tasks, *self.groups))

    def __len__(self) -> int:
        return len(self.tasks) + len(self.groups)

    def to_pandas(self) -> pd.DataFrame:
        """One row a metric: task (or group), version, shots, metric, filter, value, its error and interval, n."""
        import pandas as pd

        return pd.DataFrame(self.rows(), columns=list(COLUMNS))

    def rows(self) -> list[dict[str, Any]]:
        """The rows of `to_pandas` as mappings with the keys COLUMNS."""
        found = [_row(task, metric) for task in self.result.tasks for metric in task.metrics]
        return found + [row for one in self.result.groups for row in _group_rows(one)]

    def samples(self, task: str) -> pd.DataFrame:
        """One row a document of a task (of all tasks of a group, with a column ``task``): ``document``, ``prompt``,
        ``response``, ``target`` and the like as they are in the run, and each metric's value in a column of its key.

        Raises UserError where the run has no samples of it.
        """
        import pandas as pd

        groups = {one.group.name: one.group for one in self.result.groups}
        names = leaves(groups[task], groups) if task in groups else (task,)
        if task not in groups and task not in self.tasks:
            raise UnknownName(f"{self.path}: there is no task {task!r}{did_you_mean(task, (*self.tasks, *groups))}")
        frames = [self._samples_of(name) for name in names]
        if task not in groups:
            return frames[0]
        return pd.concat(
            [frame.assign(task=name) for name, frame in zip(names, frames, strict=True)], ignore_index=True
        )

    def _samples_of(self, task: str) -> pd.DataFrame:
        import pandas as pd

        frame = self._directory.samples(task)
        for column in JSON_COLUMNS:
            if column in frame:
                frame[column] = [parse_json(text) if isinstance(text, str) else text for text in frame[column]]
        values = pd.DataFrame([dict(one or {}) for one in frame.pop("metrics")], index=frame.index, dtype=float)
        return pd.concat([frame, values], axis=1)

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write the report to ``path``: one HTML page, or Markdown where the name ends in ".md"."""
        return write([self.path], Path(path))

    def figures(self) -> list[Figure]:
        """The run's plots as plotly figures, the scores with their intervals first: to look at in a notebook."""
        return interactive.figures([self.path])

    def save_baseline(self, path: str | os.PathLike[str], *, performance: bool = True) -> Path:
        """Write a small file that stands for this run in later comparisons. Returns the path."""
        return save_baseline(self.path, Path(path), performance=performance)

    def __repr__(self) -> str:
        parts = []
        for name in list(self)[:MOST_IN_REPR]:
            metric = self[name].primary
            parts.append(f"{name} {metric.name} {_short(metric)}" if metric else f"{name} not scored")
        more = f", and {len(self) - len(parts)} more" if len(self) > len(parts) else ""
        partial = " (partial)" if self.partial else ""
        return f"<Run of {self.result.model.get('name')}{partial}: {', '.join(parts)}{more}; in {self.path}>"

    def _repr_html_(self) -> str:
        return run_html(self.result, self.rows(), str(self.path))


MOST_IN_REPR = 4
JSON_COLUMNS = ("document", "target", "filtered", "statistics", "extra")
COLUMNS = (
    "task",
    "level",
    "version",
    "num_fewshot",
    "metric",
    "filter",
    "value",
    "stderr",
    "ci_low",
    "ci_high",
    "n",
    "higher_is_better",
    "primary",
    "baseline",
    "sample",
)
"""``level`` is "task", or for groups "micro" (over documents) or "macro" (over tasks); ci_* is the 95 % interval."""


def _row(task: TaskResult, metric: MetricResult) -> dict[str, Any]:
    info = task.info
    shots: dict[str, Any] = {"num_fewshot": info.num_fewshot, "sample": info.sample}
    return {"task": info.name, "level": TASK, "version": info.version} | _values(metric, info.primary) | shots


def _group_rows(one: GroupResult) -> Iterator[dict[str, Any]]:
    for level, metrics in ((MICRO, one.micro), (MACRO, one.macro)):
        for metric in metrics:
            yield {"task": one.group.name, "level": level, "version": one.group.version} | _values(metric, "")


def _values(metric: MetricResult, primary: str) -> dict[str, Any]:
    low, high = metric.interval or (None, None)
    return {
        "metric": metric.name,
        "filter": metric.filter,
        "value": metric.value,
        "stderr": metric.stderr,
        "ci_low": low,
        "ci_high": high,
        "n": metric.n,
        "higher_is_better": metric.higher_is_better,
        "primary": metric.primary or metric.key == primary,
        "baseline": metric.baseline,
    }


def _short(metric: MetricResult) -> str:
    if metric.value is None:
        return "–"
    error = "" if metric.stderr is None else f" ± {metric.stderr:.4f}"
    return f"{metric.value:.4f}{error} (n={metric.n:,})"


def load_run(path: str | os.PathLike[str]) -> Run:
    """The run in a folder. Raises UserError where there is none."""
    return Run(path)
