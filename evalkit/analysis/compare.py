"""`evalkit compare`: two or more runs on the same items, as paired differences with intervals and tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.analysis.baseline import load_scores
from evalkit.analysis.evidence import Coverage, coverage
from evalkit.analysis.scores import RunScores, Series, TaskScores
from evalkit.contract.errors import UserError
from evalkit.contract.types import MEAN, SHARE_UNIT
from evalkit.metrics.combine import Combine, table
from evalkit.metrics.finding import combine_of
from evalkit.statistics.corpus import items_estimate
from evalkit.statistics.paired import (
    Difference,
    aligned,
    corpus_difference,
    detectable_effect,
    holm,
    paired_difference,
)


@dataclass(frozen=True, slots=True)
class Flip:
    """An item whose value changed: where to find it, and both values."""

    key: str
    title: str
    base: float
    candidate: float


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """One metric of one task or group: candidate minus base on the items both scored.

    ``base`` and ``candidate`` are the metric over those items alone. ``p_adjusted`` is Holm's over the primary
    metrics of a family (see `_adjust`); None for others. ``improved`` and ``worsened`` follow the
    metric's direction.
    """

    task: str
    metric: str
    level: str
    primary: bool
    higher_is_better: bool
    base: float
    candidate: float
    difference: Difference
    unmatched_base: int
    unmatched_candidate: int
    p_adjusted: float | None = None
    improved: tuple[Flip, ...] = ()
    worsened: tuple[Flip, ...] = ()
    cluster_field: str = ""
    unit: str = ""

    @property
    def gain(self) -> float:
        """The difference, positive where the candidate is better."""
        return self.difference.value if self.higher_is_better else -self.difference.value

    @property
    def is_share(self) -> bool:
        """Whether the metric is a share of one, shown in percent."""
        return self.unit == SHARE_UNIT

    def verdict(self, alpha: float = 0.05) -> str:
        """ "better", "worse" or "no difference shown", by the adjusted p-value where there is one."""
        p_value = self.difference.p_value if self.p_adjusted is None else self.p_adjusted
        if p_value >= alpha or self.gain == 0:
            return "no difference shown"
        return "better" if self.gain > 0 else "worse"


@dataclass(frozen=True, slots=True)
class NotCompared:
    """A metric that both runs have and that no test was made of, and why."""

    task: str
    metric: str
    primary: bool
    reason: str

    def __str__(self) -> str:
        return f"{self.task}: {self.metric.removesuffix(',none')} is not compared: {self.reason}"


@dataclass(frozen=True, slots=True)
class RunComparison:
    """One candidate against the base."""

    label: str
    source: str
    metrics: tuple[MetricComparison, ...]
    mismatches: tuple[str, ...]
    """What differs between the runs and was let through by ``allow_mismatch``."""
    only_base: tuple[str, ...]
    only_candidate: tuple[str, ...]
    coverage: tuple[Coverage, ...] = ()
    """The items there were to compare, task by task, and why a task could not be."""
    not_compared: tuple[NotCompared, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """A base and its candidates."""

    base: str
    base_source: str
    candidates: tuple[RunComparison, ...]
    alpha: float


def compare(
    base: Path,
    candidates: Sequence[Path],
    *,
    allow_mismatch: bool = False,
    cluster_by: str | None = None,
    alpha: float = 0.05,
    seed: int = 1234,
    resamples: int = 2000,
) -> Comparison:
    """Compare run directories (or saved baselines), joined by document hash.

    Raises UserError where the runs share no task, or no item that both scored, or were made from different prompts,
    task versions or shots and ``allow_mismatch`` is False.
    """
    if not candidates:
        raise UserError("compare: no candidate given: name a base and one or more candidates")
    if not 0 < alpha < 1:
        raise UserError(f"compare: alpha is {alpha}; it must be between 0 and 1")
    first = load_scores(base, cluster_by)
    options = Options(allow_mismatch, alpha, seed, resamples)
    compared = tuple(compare_scores(first, load_scores(path, cluster_by), options) for path in candidates)
    for one in compared:
        if not one.metrics:
            reasons = [f"{task.task}: {task.reason}" for task in one.coverage if task.reason]
            reasons += [str(metric) for metric in one.not_compared]
            raise UserError(
                f"compare: {first.source} and {one.source} share nothing that both scored: "
                f"{'; '.join(reasons[:3]) or 'no metric of theirs has a paired test'}"
            )
    return Comparison(base=first.label, base_source=first.source, candidates=compared, alpha=alpha)


@dataclass(frozen=True, slots=True)
class Options:
    allow_mismatch: bool = False
    alpha: float = 0.05
    seed: int = 1234
    resamples: int = 2000


def compare_scores(base: RunScores, candidate: RunScores, options: Options | None = None) -> RunComparison:
    """Compare two loaded runs; see `compare`."""
    options = options or Options()
    shared = [name for name in base.tasks if name in candidate.tasks]
    if not shared:
        raise UserError(
            f"compare: {base.source} and {candidate.source} share no task "
            f"({_names(base.tasks)} against {_names(candidate.tasks)})"
        )
    found = coverage(base, candidate)
    paired = {one.task for one in found if one.matched}
    shared = [name for name in shared if name in paired]
    mismatches = [text for name in shared for text in _mismatches(base.tasks[name], candidate.tasks[name])]
    if mismatches and not options.allow_mismatch:
        more = f" (and {len(mismatches) - 1} more)" if len(mismatches) > 1 else ""
        raise UserError(
            f"compare: {base.source} and {candidate.source} are not the same measurement: {mismatches[0]}{more}: "
            "run both in the same way, or compare all the same with --allow-mismatch"
        )
    rows = list(_compare_groups(base, candidate, options, paired))
    left_out: list[NotCompared] = []
    for name in shared:
        for row in _compare_task(base.tasks[name], candidate.tasks[name], options):
            if isinstance(row, NotCompared):
                left_out.append(row)
            else:
                rows.append(row)
    return RunComparison(
        label=candidate.label,
        source=candidate.source,
        metrics=tuple(_adjust(rows, base.groups)),
        mismatches=tuple(mismatches),
        only_base=tuple(name for name in base.tasks if name not in candidate.tasks),
        only_candidate=tuple(name for name in candidate.tasks if name not in base.tasks),
        coverage=found,
        not_compared=tuple(left_out),
    )


def _adjust(rows: Sequence[MetricComparison], groups: Mapping[str, Sequence[str]]) -> list[MetricComparison]:
    """Holm's correction over the primary metrics, in families: the headline (tasks outside groups, and outermost
    groups) is one, each outermost group's parts are another, so that a breakdown by 57 subjects costs the headline
    nothing.
    """
    roots = {n: set(leaves) for n, leaves in groups.items() if not any(set(leaves) < set(o) for o in groups.values())}

    def family(row: MetricComparison) -> str:
        if row.task in roots:
            return ""
        inside = {row.task} if row.level == "task" else set(groups[row.task])
        return next((name for name, leaves in roots.items() if inside <= leaves), "")

    adjusted: dict[int, float] = {}
    primaries = [(number, row) for number, row in enumerate(rows) if row.primary]
    for name in {family(row) for _, row in primaries}:
        members = [(number, row) for number, row in primaries if family(row) == name]
        values = holm([row.difference.p_value for _, row in members])
        adjusted |= {number: value for (number, _), value in zip(members, values, strict=True)}
    return [replace(row, p_adjusted=adjusted.get(number)) for number, row in enumerate(rows)]


def _names(tasks: Mapping[str, Any]) -> str:
    names = list(tasks)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _mismatches(base: TaskScores, candidate: TaskScores) -> Iterator[str]:
    """What makes two tasks of one name different measurements."""
    for what, a, b in (
        ("version", base.version, candidate.version),
        ("few-shot examples", base.num_fewshot, candidate.num_fewshot),
        ("bundled sample", base.sample, candidate.sample),
    ):
        if a != b:
            yield f"{base.name}: {what} {a} against {b}"
    left, right = aligned(base.keys, candidate.keys, base.name)
    different = sum(base.prompts[i] != candidate.prompts[j] for i, j in zip(left, right, strict=True))
    if different:
        yield f"{base.name}: {different} of {len(left)} shared documents have different prompts"


def _compare_task(
    base: TaskScores, candidate: TaskScores, options: Options
) -> Iterator[MetricComparison | NotCompared]:
    left, right = aligned(base.keys, candidate.keys, base.name)
    for key, series in base.series.items():
        other = candidate.series.get(key)
        if other is None:
            continue
        pairs = [(i, j) for i, j in zip(left, right, strict=True) if None not in (series.values[i], other.values[j])]
        if len(pairs) < 2:
            continue
        a, b = [series.values[i] for i, _ in pairs], [other.values[j] for _, j in pairs]
        clusters = None if base.clusters is None else [base.clusters[i] for i, _ in pairs]
        try:
            values, difference = _difference(series, other, a, b, clusters, options)
        except UserError as error:
            yield NotCompared(base.name, key, key == base.primary, str(error))
            continue
        titles = candidate.titles or base.titles
        place = 1 if candidate.titles else 0
        flips = [
            Flip(base.keys[pair[0]], titles[pair[place]] if titles else "", float(x), float(y))
            for pair, x, y in zip(pairs, a, b, strict=True)
            if not isinstance(x, tuple) and not isinstance(y, tuple) and x is not None and y is not None and x != y
        ]
        rising = tuple(flip for flip in flips if flip.candidate > flip.base)
        falling = tuple(flip for flip in flips if flip.candidate < flip.base)
        yield MetricComparison(
            task=base.name,
            metric=key,
            level="task",
            primary=key == base.primary,
            higher_is_better=series.higher_is_better,
            base=values[0],
            candidate=values[1],
            difference=difference,
            unmatched_base=len(base.keys) - len(pairs),
            unmatched_candidate=len(candidate.keys) - len(pairs),
            improved=rising if series.higher_is_better else falling,
            worsened=falling if series.higher_is_better else rising,
            cluster_field=base.cluster_field if difference.clusters else "",
            unit=series.unit,
        )


def _difference(
    series: Series, other: Series, a: Sequence[Any], b: Sequence[Any], clusters: Sequence[str] | None, options: Options
) -> tuple[tuple[float, float], Difference]:
    """Both runs' metric over the pairs, and the difference by the test that fits how the metric joins its items.
    UserError where there is none.
    """
    import numpy as np

    if series.aggregate != other.aggregate:
        raise UserError(f"one run joins its items by {series.aggregate!r}, the other by {other.aggregate!r}")
    combine = combine_of(series.aggregate)
    if combine.name == MEAN:
        if any(isinstance(one, tuple) for one in (*a, *b)):
            raise UserError("its items hold statistics, of which there is no mean")
        means = (float(np.mean(a)), float(np.mean(b)))
        return means, paired_difference(
            a, b, clusters=clusters, alpha=options.alpha, seed=options.seed, resamples=options.resamples
        )
    if not combine.errors:
        raise UserError("it is no sum over items, and items left out say nothing of other ones")
    values = (combine.value(a), combine.value(b))
    if combine.over == "items":
        return values, _difference_of_items(combine, a, b, options)
    try:
        difference = corpus_difference(
            table(a), table(b), combine.function, alpha=options.alpha, seed=options.seed, resamples=options.resamples
        )
    except ArithmeticError as error:
        raise UserError(f"without some of its items it has no value ({error})") from error
    return values, difference


def _difference_of_items(combine: Combine, a: Sequence[Any], b: Sequence[Any], options: Options) -> Difference:
    """The paired jackknife of a metric that no sum gives."""

    def difference(rows: Any) -> float:
        return combine.value([b[row] for row in rows]) - combine.value([a[row] for row in rows])

    found = items_estimate(len(a), difference, seed=options.seed)
    interval = found.interval(1 - options.alpha)
    if interval is None or found.stderr is None:
        raise UserError(found.reason)
    return Difference(
        n=len(a),
        value=found.value,
        stderr=found.stderr,
        interval=interval,
        p_value=found.p_value(),
        detectable=detectable_effect(found.stderr, alpha=options.alpha),
        method=found.method,
        binary=False,
    )


def _compare_groups(
    base: RunScores, candidate: RunScores, options: Options, paired: set[str]
) -> Iterator[MetricComparison]:
    """Micro averages of groups: the items of all leaves pooled; items of one leaf (subject) are a cluster."""
    for name, leaves in base.groups.items():
        if name not in candidate.groups or set(leaves) != set(candidate.groups[name]) or not leaves:
            continue
        if not paired.issuperset(leaves):
            continue
        sides = [(base.tasks[leaf], candidate.tasks[leaf]) for leaf in leaves if leaf in candidate.tasks]
        keys = [key for key in sides[0][0].series if all(key in side.series for pair in sides for side in pair)]
        for key in keys:
            series = sides[0][0].series[key]
            if series.aggregate != MEAN or key != sides[0][0].primary:
                continue
            pooled = [_pool(pair, key) for pair in sides]
            a, b = ([value for part in pooled for value in part[side]] for side in (0, 1))
            subjects = [pair[0].name for pair, part in zip(sides, pooled, strict=True) for _ in part[0]]
            if len(a) < 2:
                continue
            values, difference = _difference(series, series, a, b, subjects, options)
            yield MetricComparison(
                task=name,
                metric=key,
                level="group",
                primary=True,
                higher_is_better=series.higher_is_better,
                base=values[0],
                candidate=values[1],
                difference=difference,
                unmatched_base=sum(len(pair[0].keys) for pair in sides) - len(a),
                unmatched_candidate=sum(len(pair[1].keys) for pair in sides) - len(b),
                cluster_field="task" if difference.clusters else "",
                unit=series.unit,
            )


def _pool(pair: tuple[TaskScores, TaskScores], key: str) -> tuple[list[Any], list[Any]]:
    left, right = aligned(pair[0].keys, pair[1].keys, pair[0].name)
    one, other = pair[0].series[key].values, pair[1].series[key].values
    both = [(one[i], other[j]) for i, j in zip(left, right, strict=True) if None not in (one[i], other[j])]
    return [x for x, _ in both], [y for _, y in both]
