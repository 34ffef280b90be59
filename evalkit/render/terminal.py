"""Runs as tables on a terminal. Names and texts come from files and models: they are printed, never interpreted."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from evalkit.contract.types import GroupResult, MetricResult, RunResult, TaskInfo, TaskResult
from evalkit.task.groups import leaves

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from evalkit.runner.evaluate import Plan

SAMPLE_NOTE = "sample: not comparable with the full set"


def plain(value: object) -> Text:
    """Text without markup, control characters or direction overrides, whatever it holds."""
    from rich.text import Text

    clean = (
        char if unicodedata.category(char) not in ("Cc", "Cf", "Cs") else "\N{REPLACEMENT CHARACTER}"
        for char in str(value)
    )
    return Text("".join(clean))


def plan_table(plan: Plan) -> RenderableType:
    """What is about to run, one row a task."""
    table = _table(
        f"{plan.model} on {plan.backend}", ["task", "version", "items", "shots", "requests", "data"], right=(2, 3, 4)
    )
    for task in plan.tasks:
        items = f"{task.n:,}" if task.n == task.n_total else f"{task.n:,} of {task.n_total:,}"
        data = SAMPLE_NOTE if task.info.sample else task.source
        _row(table, task.info.name, task.info.version, items, task.info.num_fewshot, f"{task.requests:,}", data)
    if len(plan.tasks) > 1:
        table.add_section()
        _row(
            table, f"{len(plan.tasks)} tasks", "", f"{sum(t.n for t in plan.tasks):,}", "",
            f"{sum(t.requests for t in plan.tasks):,}", "",
        )  # fmt: skip
    return table


def results_table(result: RunResult) -> RenderableType:
    """The numbers: one row a metric of a task, then the groups' averages."""
    title = "partial results: the run was interrupted" if result.partial else None
    columns = [
        "task",
        "version",
        "filter",
        "shots",
        "metric",
        "",
        "value",
        "± stderr",
        "95 % interval",
        "n",
        "baseline",
    ]
    table = _table(title, columns, right=(3, 6, 7, 8, 9, 10))
    for task in result.tasks:
        _task_rows(table, task)
    for group in result.groups:
        _group_rows(table, group)
    return table


def warnings(result: RunResult) -> list[str]:
    """What a reader must know beside the numbers: samples, errors, items without a score, long prompts."""
    lines = []
    if sampled := [task.info.name for task in result.tasks if task.info.sample]:
        lines.append(f"{SAMPLE_NOTE}: {_names(sampled)}")
    lines += _left_out(result)
    for what, field in (
        ("failed", "n_error"),
        ("without a score", "n_unscored"),
        ("over the context window", "n_truncated"),
    ):
        counts = [f"{task.info.name} {getattr(task, field):,}" for task in result.tasks if getattr(task, field)]
        if counts:
            lines.append(f"items {what}: {_names(counts)}")
    return lines


def _left_out(result: RunResult) -> list[str]:
    """Which tasks were not scored whole, by the reason for it."""
    by_reason: dict[str, list[str]] = {}
    for task in result.tasks:
        if task.n < task.n_total:
            limit = _limit(result, task.info.name)
            reasons = [*([f"--limit {limit}"] if limit else []), *(["interrupted"] if result.partial else [])]
            reason = f" ({', '.join(reasons)})" if reasons else ""
            by_reason.setdefault(reason, []).append(f"{task.info.name} {task.n:,} of {task.n_total:,}")
    return [f"not all documents were scored{reason}: {_names(tasks)}" for reason, tasks in by_reason.items()]


def _limit(result: RunResult, task: str) -> str | None:
    """The limit that was asked for this task, as on the command line; the entry that brought it may have its own."""
    limit = result.spec.get("limit")
    groups = {one.group.name: one.group for one in result.groups}
    for entry in result.spec.get("tasks") or ():
        name = str(entry.get("name", "")).partition("@")[0]
        members = leaves(groups[name], groups) if name in groups else ()
        if task == name or task in members or fnmatchcase(task, name):
            limit = limit if entry.get("limit") is None else entry["limit"]
            break
    if limit is None:
        return None
    return f"{limit if limit < 1 else int(limit)}{':random' if result.spec.get('limit_random') else ''}"


def rows_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> RenderableType:
    """Any small table of values."""
    table = _table(title, columns)
    for row in rows:
        _row(table, *row)
    return table


def number(value: float | None) -> str:
    """Four decimals, or fewer where the number is large; a dash where there is none."""
    if value is None:
        return "–"
    if abs(value) >= 1e6:
        return f"{value:.3e}"
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.2f}"


def _task_rows(table: Table, task: TaskResult) -> None:
    info = task.info
    name = info.name + ("@sample" if info.sample else "")
    if not task.metrics:
        _row(
            table,
            name,
            info.version,
            "",
            info.num_fewshot,
            "no item was scored",
            "",
            "–",
            "–",
            "–",
            f"{task.n_ok:,}",
            "–",
        )
    for index, metric in enumerate(task.metrics):
        head = (name, info.version) if index == 0 else ("", "")
        _row(
            table,
            *head,
            metric.filter,
            info.num_fewshot,
            *_metric(metric),
            style="bold" if _primary(metric, info) else "",
        )


def _group_rows(table: Table, group: GroupResult) -> None:
    first = True
    for kind, metrics in (("micro", group.micro), ("macro", group.macro)):
        for metric in metrics:
            if first:
                table.add_section()
            head = (group.group.name, group.group.version) if first else ("", "")
            _row(table, *head, metric.filter, kind, *_metric(metric))
            first = False


def _metric(metric: MetricResult) -> tuple[str, ...]:
    interval = f"{number(metric.interval[0])} – {number(metric.interval[1])}" if metric.interval else "–"
    arrow = "↑" if metric.higher_is_better else "↓"
    return (
        f"{metric.name} ({metric.unit})" if metric.unit and not metric.is_share else metric.name,
        arrow,
        number(metric.value),
        number(metric.stderr),
        interval,
        f"{metric.n:,}",
        number(metric.baseline),
    )


def _primary(metric: MetricResult, info: TaskInfo) -> bool:
    return metric.primary or metric.key == info.primary


def _table(title: str | None, columns: Sequence[str], right: Sequence[int] = ()) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=plain(title) if title else None, title_justify="left", pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index in right else "left", overflow="fold")
    return table


def _row(table: Table, *cells: Any, style: str = "") -> None:
    table.add_row(*(plain(cell) for cell in cells), style=style)


def _names(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
