"""Whether and how two runs differ, decided once: pairs, clusters, test, interval, correction, verdict.

Everything that says something of two runs prints a `Decision`: `evalkit compare`, the marks of a report, the gate and
the ranks of a board. The instruments are `evalkit.statistics`'; which one a metric gets depends on its values, bounds
and aggregator, never on its name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from evalkit.analysis.instruments import Part, average_difference, is_binary
from evalkit.analysis.pairing import Pairs
from evalkit.analysis.scores import TaskScores
from evalkit.contract.errors import UserError
from evalkit.contract.types import MEAN, SHARE_UNIT, Bounds
from evalkit.statistics.inference import Inference, Shifted, Unknown
from evalkit.statistics.margins import detectable
from evalkit.statistics.multiple import holm

Verdict = Literal["better", "worse", "no difference shown", "equal", "not judged"]
Level = Literal["task", "micro", "macro"]
LEAST_ITEMS = 2
"""Pairs below which nothing is judged: of one item there is no spread."""


@dataclass(frozen=True, slots=True)
class Flip:
    """An item whose value changed: where to find it, and both values."""

    key: str
    title: str
    base: float
    candidate: float


@dataclass(frozen=True, slots=True)
class Difference:
    """Candidate minus base on the same ``n`` items, in the metric's own unit.

    ``interval`` has the coverage ``level``, which is more than the default where the correction for several tasks asks
    for it: it leaves zero out exactly where the verdict is "better" or "worse". ``p_value`` is two-sided and
    uncorrected. None where nothing can be said.
    """

    n: int
    value: float | None
    stderr: float | None
    interval: tuple[float, float] | None
    level: float
    p_value: float
    detectable: float | None
    """The smallest true difference that this many items find with 80 % power."""
    method: str
    binary: bool = False
    lost: int = 0
    """Items where the candidate is lower than the base."""
    gained: int = 0
    clusters: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What is known of one metric of one task or group in two runs.

    ``base`` and ``candidate`` are the metric over the pairs alone. ``level``: "task", or a group's "micro" (every item
    the same weight) or "macro" (every task the same). ``p_adjusted`` is Holm's over the primary metrics of a family
    (see `corrected`); None for others. ``improved`` and ``worsened`` follow the metric's direction. ``reason`` says why
    the verdict is "not judged". ``gain`` is the inference behind it, with the better direction up; `statistics.margins`
    says what it shows at a margin.
    """

    task: str
    metric: str
    level: Level
    primary: bool
    higher_is_better: bool
    base: float | None
    candidate: float | None
    difference: Difference
    verdict: Verdict
    reason: str = ""
    unmatched_base: int = 0
    unmatched_candidate: int = 0
    p_adjusted: float | None = None
    improved: tuple[Flip, ...] = ()
    worsened: tuple[Flip, ...] = ()
    cluster_field: str = ""
    unit: str = ""
    bounds: Bounds | None = None
    tasks: tuple[str, ...] = ()
    """The tasks below a group."""
    gain: Inference = field(default=Unknown(0.0, 0, "not judged"), repr=False, compare=False)

    @property
    def is_share(self) -> bool:
        """Whether the metric is a share of one, shown in percent."""
        return self.unit == SHARE_UNIT

    @property
    def width(self) -> float | None:
        """By how much two values can differ; None without bounds."""
        low, high = self.bounds or (None, None)
        return None if low is None or high is None else high - low

    def __str__(self) -> str:
        name = self.metric.removesuffix(",none")
        return (
            f"{self.task}: {name} is not judged: {self.reason}"
            if self.reason
            else f"{self.task}: {name}: {self.verdict}"
        )


def decide_task(
    base: TaskScores, candidate: TaskScores, key: str, pairs: Pairs, alpha: float = 0.05, *, details: bool = True
) -> Decision:
    """One metric of a task. Never raises for what the runs hold: what cannot be judged says why. Without ``details``
    there are no intervals and no flipped items, which take most of the time.
    """
    one, other = base.series.get(key), candidate.series.get(key)
    if one is None or other is None:
        rising = base.rising if one is None else candidate.rising
        side = "baseline" if one is None else "candidate"
        return _not_judged(
            base.name, key, rising.get(key, True), key == base.primary, f"the {side} has no values of it"
        )
    a, b, kept = pairs.values(one, other)
    labels = pairs.labels(kept)
    found = _judged(Part(one, other, a, b, labels), alpha, details)
    found = replace(
        found,
        task=base.name,
        metric=key,
        primary=key == base.primary,
        unmatched_base=len(base.keys) - len(kept),
        unmatched_candidate=len(candidate.keys) - len(kept),
        cluster_field=pairs.cluster_field if found.difference.clusters else "",
    )
    if not details:
        return found
    titles, rows = (candidate.titles, pairs.right) if candidate.titles else (base.titles, pairs.left)
    flips = [
        Flip(base.keys[pairs.left[place]], titles[rows[place]] if titles else "", float(x), float(y))
        for place, x, y in zip(kept, a, b, strict=True)
        if not isinstance(x, tuple) and not isinstance(y, tuple) and x != y
    ]
    rising_, falling = (tuple(f for f in flips if (f.candidate > f.base) is up) for up in (True, False))
    improved, worsened = (rising_, falling) if one.higher_is_better else (falling, rising_)
    return replace(found, improved=improved, worsened=worsened)


def decide_average(
    name: str,
    members: Sequence[tuple[TaskScores, TaskScores, Pairs]],
    key: str | None,
    level: Level,
    alpha: float = 0.05,
    *,
    details: bool = True,
) -> Decision:
    """A weighted average over tasks, the tasks being strata: "micro" weighs them by their pairs, "macro" all the same.

    ``key`` None: every task's own primary metric, which must have one unit and direction.
    """
    keys = [key or base.primary for base, _, _ in members]
    series = [(base.series.get(k), other.series.get(k)) for (base, other, _), k in zip(members, keys, strict=True)]
    first = series[0][0]
    rising = first.higher_is_better if first else True
    names = tuple(base.name for base, _, _ in members)
    shown = keys[0] if len(set(keys)) == 1 else "primary"

    def refused(reason: str) -> Decision:
        return replace(_not_judged(name, shown, rising, True, reason), level=level, tasks=names)

    pooled: list[tuple[list[Any], list[Any], list[str] | None]] = []
    for (base, _, pairs), (one, other) in zip(members, series, strict=True):
        if one is None or other is None:
            return refused(f"{base.name}: one of the runs has no values of {shown}")
        if first and (one.unit, one.higher_is_better, other.aggregate) != (first.unit, rising, one.aggregate):
            return refused(f"{base.name} and {members[0][0].name} are measured in different units or directions")
        a, b, kept = pairs.values(one, other)
        if len(kept) < LEAST_ITEMS:
            return refused(f"{base.name}: {_few(len(kept))}")
        pooled.append((a, b, pairs.labels(kept)))
    assert first is not None
    sizes = [len(a) for a, _, _ in pooled]
    weights = [size / sum(sizes) if level == "micro" else 1 / len(sizes) for size in sizes]
    parts = [
        Part(one, other, a, b, labels)
        for (one, other), (a, b, labels) in zip(series, pooled, strict=True)
        if one is not None and other is not None
    ]
    bounds = first.bounds if all(part.bounds == parts[0].bounds for part in parts) else None
    try:
        found = average_difference(parts, weights)
        sides = [part.sides() for part in parts]
    except UserError as error:
        return refused(str(error))
    values = tuple(sum(w * side[k] for w, side in zip(weights, sides, strict=True)) for k in (0, 1))
    equal = all(part.a == part.b for part in parts)
    changed = [(x, y) for part in parts if part.numbers for x, y in zip(part.a, part.b, strict=True)]
    difference = _difference(found, sum(sizes), changed, False, None, alpha, details)
    verdict, reason = _verdict(found, equal, rising, alpha)
    clustered = [pairs.cluster_field for _, _, pairs in members if pairs.clusters is not None]
    return Decision(
        task=name, metric=shown, level=level, primary=True, higher_is_better=rising, base=values[0],
        candidate=values[1], difference=difference, verdict=verdict, reason=reason,
        unmatched_base=sum(len(base.keys) for base, _, _ in members) - sum(sizes),
        unmatched_candidate=sum(len(other.keys) for _, other, _ in members) - sum(sizes),
        cluster_field=clustered[0] if clustered else "", unit=first.unit, bounds=bounds, tasks=names,
        gain=found if rising else Shifted(found, 0.0, -1.0),
    )  # fmt: skip


def corrected(
    decisions: Sequence[Decision], groups: Mapping[str, Sequence[str]], alpha: float = 0.05
) -> tuple[Decision, ...]:
    """Holm's correction over the primary metrics, in families: the headline (tasks outside groups, and outermost
    groups) is one, each outermost group's parts are another, so that a breakdown by 57 subjects costs it nothing.
    Verdicts and intervals follow: an interval gets the level at which its test was made.
    """
    roots = {n: set(leaves) for n, leaves in groups.items() if not any(set(leaves) < set(o) for o in groups.values())}

    def family(one: Decision) -> str:
        if one.task in roots and one.level != "task":
            return ""
        inside = set(one.tasks) or {one.task}
        return next((name for name, leaves in roots.items() if inside <= leaves), "")

    found = list(decisions)
    counted = [place for place, one in enumerate(decisions) if one.primary and not one.reason]
    for name in {family(decisions[place]) for place in counted}:
        members = [place for place in counted if family(decisions[place]) == name]
        tests = holm([decisions[place].difference.p_value for place in members], alpha)
        for place, test in zip(members, tests, strict=True):
            found[place] = _at_level(decisions[place], test.alpha, test.p_value)
    return tuple(found)


# -- one metric --------------------------------------------------------------------------------------------------------


def _judged(part: Part, alpha: float, details: bool) -> Decision:
    """The decision of one metric over its pairs; the caller names task and metric."""
    one, a, b, labels = part.series, part.a, part.b, part.labels
    rising = one.higher_is_better
    values: tuple[float | None, float | None] = (None, None)
    if len(a) < LEAST_ITEMS:
        found: Inference = Unknown(0.0, len(a), _few(len(a)))
    else:
        try:
            values = part.sides()
            found = part.inference()
        except UserError as error:
            value = math.nan if None in values else float(values[1] or 0.0) - float(values[0] or 0.0)
            found = Unknown(value, len(a), str(error))
    verdict, reason = _verdict(found, bool(a) and a == b, rising, alpha)
    clusters = None if labels is None or not len(set(labels)) < len(labels) else len(set(labels))
    changed = list(zip(a, b, strict=True)) if part.numbers and one.aggregate == MEAN else []
    difference = _difference(found, len(a), changed, is_binary(one, a, b), clusters, alpha, details)
    if values[0] is None:
        difference = replace(difference, value=None)
    return Decision(
        task="", metric="", level="task", primary=False, higher_is_better=rising, base=values[0],
        candidate=values[1], difference=difference, verdict=verdict, reason=reason, unit=one.unit,
        bounds=part.bounds, gain=found if rising else Shifted(found, 0.0, -1.0),
    )  # fmt: skip


def _difference(
    found: Inference,
    n: int,
    changed: Sequence[tuple[float, float]],
    binary: bool,
    clusters: int | None,
    alpha: float,
    details: bool,
) -> Difference:
    interval = found.interval(1 - alpha) if details else None
    return Difference(
        n=n,
        value=found.value if math.isfinite(found.value) else None,
        stderr=found.stderr,
        interval=interval,
        level=1 - alpha,
        p_value=found.p_value(),
        detectable=detectable(interval, alpha),
        method=found.method,
        binary=binary,
        lost=sum(y < x for x, y in changed),
        gained=sum(y > x for x, y in changed),
        clusters=clusters,
    )


def _verdict(found: Inference, equal: bool, rising: bool, alpha: float) -> tuple[Verdict, str]:
    """The verdict at ``alpha``, and why there is none."""
    if found.reason and not (equal and found.n >= LEAST_ITEMS):
        return "not judged", found.reason
    if equal:
        return "equal", ""
    if found.p_value() >= alpha or found.value == 0:
        return "no difference shown", ""
    return ("better" if (found.value > 0) is rising else "worse"), ""


def _at_level(one: Decision, alpha: float, p_adjusted: float) -> Decision:
    """The decision with the test at ``alpha``, which a correction asks for."""
    verdict = one.verdict
    if verdict in ("better", "worse") and one.difference.p_value >= alpha:
        verdict = "no difference shown"
    if one.difference.interval is None or abs(alpha - (1 - one.difference.level)) < 1e-12:
        return replace(one, p_adjusted=p_adjusted, verdict=verdict)
    found = one.gain.interval(1 - alpha)
    if found is not None and not one.higher_is_better:
        found = (-found[1], -found[0])
    return replace(
        one, p_adjusted=p_adjusted, verdict=verdict, difference=replace(one.difference, interval=found, level=1 - alpha)
    )


def _not_judged(task: str, metric: str, rising: bool, primary: bool, reason: str) -> Decision:
    nothing = Difference(0, None, None, None, 0.95, 1.0, None, "none")
    return Decision(task, metric, "task", primary, rising, None, None, nothing, "not judged", reason)


def _few(n: int) -> str:
    return f"{n} shared {'item has' if n == 1 else 'items have'} a value in both runs"
