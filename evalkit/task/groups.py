"""Averages over a group's tasks: every document the same weight (micro), or every task (macro)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from evalkit.contract.groups import leaves as below
from evalkit.contract.types import Bounds, Group, GroupResult, MetricResult, TaskResult
from evalkit.statistics import intervals
from evalkit.statistics.choice import average_of_estimates


def summarize_groups(groups: Sequence[Group], task_results: Sequence[TaskResult]) -> tuple[GroupResult, ...]:
    """Both averages of every metric that a group aggregates, over its leaves.

    A leaf without the metric (or without a value) is left out, and the signature says which. Standard errors: pooled
    within tasks for micro, sqrt(sum(se^2))/k for macro, None where a leaf has none. The interval (95 %) is that of the
    stratified average, the tasks being taken as they are (`statistics.choice.average_of_estimates`).
    """
    by_name = {group.name: group for group in groups}
    results = {result.info.name: result for result in task_results}
    summaries = []
    for group in groups:
        names = [name for name in leaves(group, by_name) if name in results]
        pairs = [_averages(group, key, {name: results[name] for name in names}) for key in group.aggregate]
        micro = tuple(pair[0] for pair in pairs if pair is not None)
        macro = tuple(pair[1] for pair in pairs if pair is not None)
        summaries.append(GroupResult(group, micro, macro))
    return tuple(summaries)


def leaves(group: Group, groups: Mapping[str, Group]) -> tuple[str, ...]:
    """The names of all tasks in a group and its nested groups, each once, in order."""
    return below(group.name, {name: one.children for name, one in groups.items()} | {group.name: group.children})


def _averages(group: Group, key: str, results: Mapping[str, TaskResult]) -> tuple[MetricResult, MetricResult] | None:
    metrics = {name: metric for name, result in results.items() for metric in result.metrics if metric.key == key}
    kept = {name: metric for name, metric in metrics.items() if metric.value is not None and metric.n > 0}
    missing = [name for name in results if name not in kept]
    if not kept:
        return None
    members = list(kept.values())
    sizes = [member.n for member in members]
    stderrs = [member.stderr for member in members if member.stderr is not None]
    complete = len(stderrs) == len(members)
    micro_error = intervals.pooled_stderr(stderrs, sizes) if complete else None
    macro_error = intervals.macro_stderr(stderrs) if complete else None

    def weighted(values: Sequence[float]) -> float:
        return sum(value * size for value, size in zip(values, sizes, strict=True)) / sum(sizes)

    def plain(values: Sequence[float]) -> float:
        return sum(values) / len(values)

    return (
        _metric(group, members, missing, "micro", weighted, micro_error, "pooled"),
        _metric(group, members, missing, "macro", plain, macro_error, "independent"),
    )


def _metric(
    group: Group,
    members: Sequence[MetricResult],
    missing: Sequence[str],
    kind: str,
    average: Callable[[Sequence[float]], float],
    stderr: float | None,
    rule: str,
) -> MetricResult:
    first = members[0]
    value = average([member.value for member in members if member.value is not None])
    n = sum(member.n for member in members)
    bounds = first.bounds if all(member.bounds == first.bounds for member in members) else None
    parts = [first.name, f"group:{group.name}", f"avg:{kind}", f"tasks:{len(members)}"]
    if missing:
        parts.append("without:" + "+".join(missing))
    interval, method = _interval(members, kind, bounds) if stderr is not None else (None, "none")
    parts += [f"se:{rule if stderr is not None else 'none'}", f"ci:{method}", f"n:{n}"]
    return MetricResult(
        name=first.name,
        filter=first.filter,
        value=value,
        stderr=stderr,
        interval=interval,
        n=n,
        higher_is_better=first.higher_is_better,
        signature="|".join(parts),
        primary=first.primary,
        baseline=_all_or_none(average, [member.baseline for member in members]),
        majority=_all_or_none(average, [member.majority for member in members]),
        bounds=bounds,
        unit=first.unit if all(member.unit == first.unit for member in members) else "",
        aggregator=kind,
        level="group",
    )


def _interval(
    members: Sequence[MetricResult], kind: str, bounds: Bounds | None
) -> tuple[tuple[float, float] | None, str]:
    """The 95 % interval of the average and the name of its method; of one task its own."""
    if len(members) == 1 and members[0].interval is not None:
        named = (part for part in members[0].signature.split("|") if part.startswith("ci:"))
        return members[0].interval, next(named, "ci:none").removeprefix("ci:")
    sizes = [member.n for member in members]
    weights = [size / sum(sizes) if kind == "micro" else 1 / len(members) for size in sizes]
    found = average_of_estimates(
        [member.value or 0.0 for member in members],
        [_error(member) for member in members],
        sizes,
        weights,
        bounds,
    )
    interval = found.interval()
    return interval, "none" if interval is None else found.method.partition("|")[0]


def _error(member: MetricResult) -> float:
    """A member's standard error; where its items share passages, the one that its interval shows."""
    if member.clusters and member.interval is not None:
        return max(member.stderr or 0.0, (member.interval[1] - member.interval[0]) / (2 * intervals.Z95))
    return member.stderr or 0.0


def _all_or_none(average: Callable[[Sequence[float]], float], values: Iterable[float | None]) -> float | None:
    known = list(values)
    numbers = [value for value in known if value is not None]
    return average(numbers) if numbers and len(numbers) == len(known) else None
