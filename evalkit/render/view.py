"""What a report shows, worked out before any template sees it: runs, rows, cells, marks, warnings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from evalkit.contract.types import SHARE_UNIT, GroupResult, MetricResult, RunResult, TaskResult
from evalkit.render import counters, outcomes
from evalkit.render.cautions import cautions
from evalkit.render.counters import ByTask
from evalkit.render.facts import Facts, as_yaml, command, plain, side_by_side
from evalkit.text import numbers

Mark = Literal["best", "tie", "equal", ""]
Level = str
"""How a row came about: "task", "micro" (every document the same weight) or "macro" (every child the same)."""


HEADLINE = {("micro", 0), ("macro", 0), ("micro", 1)}
"""(level, depth) of a group's rows that the summary shows; the rest stand under Tasks."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run as the report names it."""

    number: int
    label: str
    path: Path
    result: RunResult


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of one run, ready to print, with its place on the row's scale in percent."""

    text: str
    interval: str
    stderr: str
    n: int
    signature: str
    value: float | None
    bounds: tuple[float, float] | None
    at: float | None = None
    low: float | None = None
    high: float | None = None
    mark: Mark = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of one task or group, over all runs (None: that run does not have it)."""

    name: str
    metric: str
    level: Level
    depth: int
    unit: str
    higher_is_better: bool
    shots: str
    version: str
    sample: bool
    cells: tuple[Cell | None, ...]
    baseline: str
    majority: str
    baseline_at: float | None
    scale: tuple[float, float]
    primary: bool
    share: bool = False
    """Whether values are shares of one, shown in percent."""


@dataclass(frozen=True, slots=True)
class Block:
    """A top-level group with its tree, or a task that stands alone."""

    title: str
    description: str
    citation: str
    rows: tuple[Row, ...]
    leaves: tuple[str, ...]
    headline: tuple[Row, ...]
    """What the summary shows: a group's averages and its categories'; of one that has none, its members' rows."""

    standing: tuple[Row, ...]
    """The rows that stand for all of it: the first average, or every member's where there is none."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How one task's documents ended in one run."""

    task: str
    run: str
    n: int
    n_total: int
    ok: int
    unscored: int
    error: int
    truncated: int
    answers: str
    source: str


@dataclass(frozen=True, slots=True)
class View:
    """Everything the templates need."""

    title: str
    runs: tuple[Run, ...]
    blocks: tuple[Block, ...]
    counts: tuple[Counts, ...]
    warnings: tuple[tuple[str, str], ...]
    counters: tuple[tuple[str, Facts], ...]
    task_counters: ByTask | None
    environment: Facts
    models: Facts
    specs: tuple[str, ...]
    commands: tuple[str, ...]

    @property
    def baselines(self) -> bool:
        """Whether a row of the summary knows what guessing gives."""
        return any(row.baseline_at is not None for block in self.blocks for row in block.headline)

    @property
    def majorities(self) -> bool:
        """Whether a row knows what the commonest answer gives."""
        return any(row.majority != numbers.MISSING for block in self.blocks for row in block.rows)


@dataclass(frozen=True, slots=True)
class Marks:
    """(row name/level, metric key) -> run number -> its mark."""

    of_row: Mapping[tuple[str, str], Mapping[int, Mark]] = field(default_factory=dict)


def labels(results: Sequence[RunResult], paths: Sequence[Path]) -> list[str]:
    """A distinct name a run: the spec's label or model name, with the folder's name where two are the same."""
    plain = [result.label or "model" for result in results]
    named = [
        label if plain.count(label) == 1 else f"{label} ({path.name})" for label, path in zip(plain, paths, strict=True)
    ]
    return [label if named.count(label) == 1 else f"{label} #{index + 1}" for index, label in enumerate(named)]


def build(runs: Sequence[Run], marks: Marks) -> View:
    """Lay the runs out: blocks in the order of the first run that has them."""
    blocks = tuple(_blocks(runs, marks))
    measured = [run.result.counters for run in runs]
    title = runs[0].label if len(runs) == 1 else " · ".join(run.label for run in runs)
    return View(
        title=title,
        runs=tuple(runs),
        blocks=blocks,
        counts=tuple(_counts(runs)),
        warnings=tuple(cautions([(run.label, run.result) for run in runs])),
        counters=counters.groups(measured),
        task_counters=counters.by_task([run.label for run in runs], measured),
        environment=side_by_side([run.result.environment for run in runs], plain),
        models=side_by_side([run.result.model for run in runs], plain),
        specs=tuple(as_yaml(run.result.spec) for run in runs),
        commands=tuple(command(run.result) for run in runs),
    )


def tasks_of(runs: Sequence[Run]) -> dict[str, list[TaskResult | None]]:
    """Task name -> its result in every run, in order of first appearance."""
    found: dict[str, list[TaskResult | None]] = {}
    for run in runs:
        for task in run.result.tasks:
            found.setdefault(task.info.name, [None] * len(runs))[run.number] = task
    return found


def groups_of(runs: Sequence[Run]) -> dict[str, list[GroupResult | None]]:
    """Group name -> its result in every run."""
    found: dict[str, list[GroupResult | None]] = {}
    for run in runs:
        for group in run.result.groups:
            found.setdefault(group.group.name, [None] * len(runs))[run.number] = group
    return found


def _blocks(runs: Sequence[Run], marks: Marks) -> Iterator[Block]:
    tasks, groups = tasks_of(runs), groups_of(runs)
    inner = {child for found in groups.values() for group in found if group for child in group.group.children}
    shown: set[str] = set()
    for name in groups:
        if name in inner:
            continue
        rows, leaves = _tree(name, 0, tasks, groups, marks, frozenset())
        shown.update(leaves)
        first = next(group for group in groups[name] if group)
        headline = tuple(row for row in rows if (row.level, row.depth) in HEADLINE)
        standing = headline[:1]
        if not any(row.depth == 0 for row in headline):
            heads = set(_heads(name, groups, tasks, frozenset()))
            headline = tuple(replace(row, depth=0) for row in rows if row.primary and (row.name, row.level) in heads)
            standing = headline
        title = first.group.alias or name
        yield Block(title, "", "", tuple(rows), tuple(leaves), headline, standing)
    for name, found in tasks.items():
        if name not in shown:
            rows = _task_rows(name, found, 0, marks)
            info = next(task for task in found if task).info
            headline = tuple(row for row in rows if row.primary) or tuple(rows[:1])
            title = info.alias or name
            yield Block(title, info.description, info.citation, tuple(rows), (name,), headline, headline[:1])


def _heads(
    name: str,
    groups: Mapping[str, list[GroupResult | None]],
    tasks: Mapping[str, list[TaskResult | None]],
    above: frozenset[str],
) -> Iterator[tuple[str, Level]]:
    """(name, level) of the rows that stand for a group that only collects: those of its tasks and averaged groups."""
    first = next(group for group in groups[name] if group)
    for child in first.group.children:
        if child in tasks:
            yield child, "task"
        elif child in groups and child not in above:
            averaged = any(group.micro or group.macro for group in groups[child] if group)
            yield from [(child, "micro")] if averaged else _heads(child, groups, tasks, above | {name})


def _tree(
    name: str,
    depth: int,
    tasks: Mapping[str, list[TaskResult | None]],
    groups: Mapping[str, list[GroupResult | None]],
    marks: Marks,
    above: frozenset[str],
) -> tuple[list[Row], list[str]]:
    """Rows of a group: its averages, then its groups and tasks, each with its own rows below it."""
    found = groups[name]
    first = next(group for group in found if group)
    inside: list[Row] = []
    leaves: list[str] = []
    for child in first.group.children:
        if child in groups and child not in above:
            inner, names = _tree(child, depth + 1, tasks, groups, marks, above | {name})
        elif child in tasks:
            inner, names = _task_rows(child, tasks[child], depth + 1, marks), [child]
        else:
            continue
        inside.extend(inner)
        leaves.extend(names)
    shots = _joined(str(task.info.num_fewshot) for leaf in leaves for task in tasks[leaf] if task)
    rows = [row for level in ("micro", "macro") for row in _group_rows(name, found, depth, level, marks, shots)]
    return [*rows, *inside], leaves


def _task_rows(name: str, found: Sequence[TaskResult | None], depth: int, marks: Marks) -> list[Row]:
    first = next(task for task in found if task)
    shots = _joined(str(task.info.num_fewshot) for task in found if task)
    version = _joined(task.info.version for task in found if task)
    keys = dict.fromkeys(metric.key for task in found if task for metric in task.metrics)
    rows = []
    for key in keys:
        metrics = [_pick(task.metrics, key) if task else None for task in found]
        primary = key == first.info.primary
        sample = any(task.info.sample for task in found if task)
        rows.append(
            _row(name, metrics, "task", depth, marks, shots=shots, version=version, sample=sample, primary=primary)
        )
    return rows


def _group_rows(
    name: str, found: Sequence[GroupResult | None], depth: int, level: Level, marks: Marks, shots: str
) -> list[Row]:
    sides = [None if group is None else (group.micro if level == "micro" else group.macro) for group in found]
    version = _joined(group.group.version for group in found if group)
    keys = dict.fromkeys(metric.key for side in sides if side for metric in side)
    rows = []
    for key in keys:
        metrics = [_pick(side, key) if side else None for side in sides]
        rows.append(_row(name, metrics, level, depth, marks, shots=shots, version=version, sample=False, primary=True))
    return rows


def _row(
    name: str,
    metrics: Sequence[MetricResult | None],
    level: Level,
    depth: int,
    marks: Marks,
    *,
    shots: str,
    version: str,
    sample: bool,
    primary: bool,
) -> Row:
    """One row; the scale is 0 to 100 % for shares and starts at zero otherwise."""
    present = [metric for metric in metrics if metric]
    first = present[0]
    units = {metric.unit for metric in present}
    unit = units.pop() if len(units) == 1 else ""
    proportion = unit == SHARE_UNIT
    values = [value for metric in present for value in (metric.value, *(metric.interval or ())) if value is not None]
    low = min([0.0, *values])
    high = 1.0 if proportion else (max([0.0, *values]) * 1.05 or 1.0)
    mark = marks.of_row.get((f"{name}/{level}", first.key), {})
    cells = tuple(
        _cell(metric, proportion, (low, high), mark.get(index, "")) if metric else None
        for index, metric in enumerate(metrics)
    )
    baseline = next((metric.baseline for metric in present if metric.baseline is not None), None)
    majority = next((metric.majority for metric in present if metric.majority is not None), None)
    return Row(
        name=name,
        metric=first.name if first.filter in ("none", "") else f"{first.name} ({first.filter})",
        level=level,
        depth=depth,
        unit=numbers.unit(unit),
        higher_is_better=first.higher_is_better,
        shots=shots,
        version=version,
        sample=sample,
        cells=cells,
        baseline=numbers.score(baseline, proportion),
        majority=numbers.score(majority, proportion),
        baseline_at=_place(baseline, low, high),
        scale=(low, high),
        primary=primary,
        share=proportion,
    )


def _cell(metric: MetricResult, proportion: bool, scale: tuple[float, float], mark: Mark) -> Cell:
    bounds = metric.interval
    return Cell(
        text=numbers.score(metric.value, proportion),
        interval=numbers.interval(bounds, proportion),
        stderr=numbers.score(metric.stderr, proportion),
        n=metric.n,
        signature=metric.signature,
        value=metric.value,
        bounds=bounds,
        at=_place(metric.value, *scale),
        low=_place(bounds[0], *scale) if bounds else None,
        high=_place(bounds[1], *scale) if bounds else None,
        mark=mark,
    )


def _place(value: float | None, low: float, high: float) -> float | None:
    """Where on the scale, in percent, clipped to it."""
    if value is None or high <= low or value != value:
        return None
    return round(min(max(100 * (value - low) / (high - low), 0.0), 100.0), 2)


def _pick(metrics: Sequence[MetricResult], key: str) -> MetricResult | None:
    return next((metric for metric in metrics if metric.key == key), None)


def _joined(values: Iterator[str]) -> str:
    return " / ".join(dict.fromkeys(values))


def _counts(runs: Sequence[Run]) -> Iterator[Counts]:
    for run in runs:
        for task in run.result.tasks:
            yield Counts(
                task.info.name,
                run.label,
                task.n,
                task.n_total,
                task.n_ok,
                task.n_unscored,
                task.n_error,
                task.n_truncated,
                "; ".join(outcomes.sentences(task.outcomes)),
                task.data_source,
            )
