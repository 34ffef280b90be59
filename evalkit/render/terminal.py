"""Runs as tables on a terminal. Names and texts come from files and models: they are printed, never interpreted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from evalkit.contract.types import Group, GroupResult, MetricResult, RunResult, TaskInfo, TaskResult
from evalkit.render import outcomes
from evalkit.render.sheet import MOST, Column, Sheet, plain
from evalkit.task.groups import leaves

if TYPE_CHECKING:
    from evalkit.runner.evaluate import Plan, PlannedTask

__all__ = ["number", "plain", "plan_table", "results_table", "rows_table", "warnings"]

SAMPLE_NOTE = "sample: not comparable with the full set"


def plan_table(plan: Plan) -> Sheet:
    """What is about to run: a line a task, or a line for a group of many."""
    table = Sheet(
        [
            Column("task", "name"),
            Column("shots", "whole", right=True),
            Column("items", right=True),
            Column("requests", "whole", right=True),
            Column("data"),
        ],
        title=f"{plan.model} at {plan.cost.quote.at}"
        if plan.cost is not None and plan.cost.quote.at
        else f"{plan.model} on {plan.backend}",
    )
    by_name = {task.info.name: task for task in plan.tasks}
    for name, tasks in _families(plan.groups, by_name):
        if len(tasks) <= MOST:
            for task in tasks:
                table.row(*_planned(task.info.name, [task]))
        else:
            table.row(*_planned(f"{name} ({len(tasks)} tasks)", tasks))
    if len(plan.tasks) > 1:
        table.rule()
        items, requests = sum(task.n for task in plan.tasks), sum(task.requests for task in plan.tasks)
        table.row(f"{len(plan.tasks)} tasks", "", f"{items:,}", f"{requests:,}", "")
    return table


def _families(groups: Sequence[Group], tasks: Mapping[str, PlannedTask]) -> Iterator[tuple[str, list[PlannedTask]]]:
    """Each outermost group with its tasks, then each task that stands alone; every task once."""
    by_name = {group.name: group for group in groups}
    told: set[str] = set()
    for group in groups:
        if any(group.name in other.children for other in groups):
            continue
        below = [leaf for leaf in leaves(group, by_name) if leaf in tasks and leaf not in told]
        told.update(below)
        if below:
            yield group.name, [tasks[leaf] for leaf in below]
    for name, task in tasks.items():
        if name not in told:
            yield name, [task]


def _planned(name: str, tasks: Sequence[PlannedTask]) -> tuple[str, ...]:
    n, total = sum(task.n for task in tasks), sum(task.n_total for task in tasks)
    shots = sorted({task.info.num_fewshot for task in tasks})
    data = dict.fromkeys(SAMPLE_NOTE if task.info.sample else task.source.partition(":")[0] for task in tasks)
    return (
        name,
        str(shots[0]) if len(shots) == 1 else f"{shots[0]}-{shots[-1]}",
        f"{n:,}" if n == total else f"{n:,} of {total:,}",
        f"{sum(task.requests for task in tasks):,}",
        ", ".join(data),
    )


def results_table(result: RunResult, every: bool = False) -> Sheet:
    """The numbers: groups first, each with its parts below it, one primary metric each; ``every``: all metrics of all
    tasks, with their standard errors.
    """
    columns = [
        Column("task", "name"),
        Column("shots", "whole", right=True),
        Column("metric", "name"),
        Column("value [95 % interval]", right=True, kind="whole"),
        *([Column("stderr", "whole", right=True, spare=1)] if every else []),
        Column("n", "whole", right=True),
    ]
    every_one: list[TaskResult | GroupResult] = [*result.tasks, *result.groups]
    if any(metric.baseline is not None for one in every_one for metric in _metrics(one)):
        columns.append(Column("chance", "whole", right=True, spare=2))
    table = Sheet(columns, title="partial results: the run was interrupted" if result.partial else None)
    groups = {one.group.name: one.group for one in result.groups}
    shots = {task.info.name: str(task.info.num_fewshot) for task in result.tasks}
    for entry in _outline(result, every):
        empty = "no item was scored" if isinstance(entry.one, TaskResult) else ""
        rows = _rows_of(entry, every) or [(*_head(entry), empty, "", "", "", "")]
        if isinstance(entry.one, GroupResult):
            own = {shots[leaf] for leaf in leaves(entry.one.group, groups) if leaf in shots}
            rows = [(row[0], own.copy().pop() if len(own) == 1 else "", *row[2:]) for row in rows]
        for index, (name, number_of_shots, metric, value, stderr, n, chance) in enumerate(rows):
            cells = [
                name if index == 0 else "",
                number_of_shots,
                metric,
                value,
                *([stderr] if every else []),
                n,
                chance,
            ]
            table.row(*cells[: len(columns)], style="" if entry.depth else "bold")
    return table


def folded(result: RunResult) -> str | None:
    """What the table of primary metrics leaves out, and how to see it; None: nothing."""
    shown = {entry.one.info.name for entry in _outline(result, False) if isinstance(entry.one, TaskResult)}
    hidden = [task for task in result.tasks if task.info.name not in shown]
    more = sum(len(task.metrics) - 1 for task in result.tasks if task.metrics and task.info.name in shown)
    parts = [f"{len(hidden)} tasks of groups"] if hidden else []
    parts += [f"{more} more metric{'s' if more > 1 else ''}"] if more else []
    return (
        f"not shown: {' and '.join(parts)} (--all-metrics; all are in results.json and the report)" if parts else None
    )


def warnings(result: RunResult) -> list[str]:
    """What a reader must know beside the numbers: samples, errors, items without a score, long prompts."""
    lines = []
    if sampled := [task.info.name for task in result.tasks if task.info.sample]:
        lines.append(f"{SAMPLE_NOTE}: {_names(sampled)}")
    if rescored := result.environment.get("rescored"):
        lines.append(f"scored again ({str(rescored.get('time'))[:10]}); the answers are those of {rescored.get('run')}")
    lines += _left_out(result)
    for what, field in (
        ("failed", "n_error"),
        ("without a score", "n_unscored"),
        ("over the context window", "n_truncated"),
    ):
        counts = [f"{task.info.name} {getattr(task, field):,}" for task in result.tasks if getattr(task, field)]
        if counts:
            lines.append(f"items {what}: {_names(counts)}")
    lines += outcomes.lines(result)
    if worse := [task.info.name for task in result.tasks if _below_chance(task)]:
        lines.append(f"below chance (the whole interval): {_names(worse)}")
    return lines


def _below_chance(task: TaskResult) -> bool:
    """Whether the primary metric is surely worse than guessing."""
    found = [one for one in task.metrics if _primary(one, task.info) and one.interval and one.baseline is not None]
    return any(
        one.interval[1] < one.baseline if one.higher_is_better else one.interval[0] > one.baseline
        for one in found
        if one.interval and one.baseline is not None
    )


def _left_out(result: RunResult) -> list[str]:
    """Which tasks were not scored whole, by the reason for it."""
    group_of = _large_groups(result)
    by_reason: dict[str, dict[str, tuple[int, int]]] = {}
    for task in result.tasks:
        if task.n < task.n_total:
            limit = _limit(result, task.info.name)
            picked = ["--samples"] if task.info.name in (result.spec.get("samples") or {}) else []
            reasons = [*([f"--limit {limit}"] if limit else []), *picked, *(["interrupted"] if result.partial else [])]
            found = by_reason.setdefault(f" ({', '.join(reasons)})" if reasons else "", {})
            name = group_of.get(task.info.name, task.info.name)
            n, total = found.get(name, (0, 0))
            found[name] = (n + task.n, total + task.n_total)
    for task in result.tasks:  # a folded group's whole tasks count too, so that the counts are those of the table
        folded_in = group_of.get(task.info.name)
        if task.n >= task.n_total and folded_in is not None:
            for found in by_reason.values():
                if folded_in in found:
                    n, total = found[folded_in]
                    found[folded_in] = (n + task.n, total + task.n_total)
                    break
    return [
        f"not all documents were scored{reason}: "
        + _names([f"{name} {n:,} of {total:,}" for name, (n, total) in found.items()])
        for reason, found in by_reason.items()
    ]


def _large_groups(result: RunResult) -> dict[str, str]:
    """The outermost group of each task that the table folds into it."""
    groups = {one.group.name: one.group for one in result.groups}
    inner = {child for group in groups.values() for child in group.children}
    found: dict[str, str] = {}
    for name, group in groups.items():
        below = leaves(group, groups)
        if name not in inner and len(below) > MOST:
            found |= dict.fromkeys(below, name)
    return found


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


def rows_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> Sheet:
    """Any small table of values: a column of numbers alone is never parted."""
    lines = [[str(cell) for cell in row] for row in rows]
    kinds = [all(" " not in row[index] for row in lines) for index in range(len(columns))]
    table = Sheet(
        [Column(name, "name" if joint else "prose") for name, joint in zip(columns, kinds, strict=True)], title
    )
    for line in lines:
        table.row(*line)
    return table


def number(value: float | None) -> str:
    """Four decimals, or fewer where the number is large; a dash where there is none."""
    if value is None:
        return "–"
    if abs(value) >= 1e6:
        return f"{value:.3e}"
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.2f}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the outline: a task's or a group's result, how deep it stands below its group."""

    one: TaskResult | GroupResult
    depth: int


def _outline(result: RunResult, every: bool) -> Iterator[Entry]:
    """Groups in the order of their names in the run, each before its parts; then the tasks that belong to none."""
    groups = {one.group.name: one for one in result.groups}
    tasks = {task.info.name: task for task in result.tasks}
    told: set[str] = set()

    def below(name: str, depth: int) -> Iterator[Entry]:
        if name in groups and name not in told:
            told.add(name)
            group = groups[name]
            yield Entry(group, depth)
            direct = [child for child in group.group.children if child in tasks]
            told.update(direct)
            if every or len(direct) <= MOST or not (group.micro or group.macro):
                yield from (Entry(tasks[child], depth + 1) for child in direct)
            for child in group.group.children:
                if child in groups:
                    yield from below(child, depth + 1)

    inner = {child for one in result.groups for child in one.group.children}
    for name in groups:
        if name not in inner:
            yield from below(name, 0)
    yield from (Entry(task, 0) for name, task in tasks.items() if name not in told)


def _metrics(one: TaskResult | GroupResult) -> tuple[MetricResult, ...]:
    return one.metrics if isinstance(one, TaskResult) else (one.micro or one.macro)


def _head(entry: Entry) -> tuple[str, str]:
    indent = "  " * entry.depth
    if isinstance(entry.one, GroupResult):
        return indent + entry.one.group.name, ""
    info = entry.one.info
    return indent + info.name + ("@bundled" if info.sample else ""), str(info.num_fewshot)


def _rows_of(entry: Entry, every: bool) -> list[tuple[str, ...]]:
    one = entry.one
    if isinstance(one, GroupResult):
        pairs = [("", metric) for metric in one.micro or one.macro]
        if every and one.micro:
            pairs = [(" (micro)", metric) for metric in one.micro]
            pairs += [(" (macro)", metric) for metric in one.macro]
    else:
        pairs = [("", metric) for metric in one.metrics]
    if not every:
        chosen = [pair for pair in pairs if isinstance(one, GroupResult) or _primary(pair[1], one.info)]
        pairs = (chosen or pairs)[:1]
    return [(*_head(entry), *_cells(metric, how)) for how, metric in pairs]


def _cells(metric: MetricResult, how: str) -> tuple[str, ...]:
    name = metric.name if metric.filter == "none" else metric.key
    unit = f" ({metric.unit})" if metric.unit and not metric.is_share else ""
    value = number(metric.value)
    if metric.interval:
        value += f" [{number(metric.interval[0])}, {number(metric.interval[1])}]"
    return (
        f"{name}{unit} {'↑' if metric.higher_is_better else '↓'}{how}",
        value,
        number(metric.stderr),
        f"{metric.n:,}",
        number(metric.baseline),
    )


def _primary(metric: MetricResult, info: TaskInfo) -> bool:
    return metric.primary or metric.key == info.primary


def _names(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
