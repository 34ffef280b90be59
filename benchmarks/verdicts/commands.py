"""What `evalkit compare` and `evalkit gate` decide of two runs' items: their own functions, without run directories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.analysis.check import Outcome
from evalkit.analysis.decision import Decision, decide_average, decide_task
from evalkit.analysis.instruments import estimate_of
from evalkit.analysis.judging import Question, judge_margins
from evalkit.analysis.pairing import Pairs
from evalkit.analysis.policy import FailOn, Rule
from evalkit.analysis.scores import Series, TaskScores
from evalkit.metrics.combine import estimate
from evalkit.metrics.finding import combine_of
from evalkit.statistics.inference import Alternative, Inference
from evalkit.statistics.margins import Shown, shown_at

KEY = "m,none"
ALPHA = 0.05
Values = Sequence[Any] | NDArray[np.float64]


def _task(name: str, values: Values, share: bool, bounds: tuple[float, float] | None, aggregate: str) -> TaskScores:
    rows = tuple(tuple(one) if isinstance(one, np.ndarray) else float(one) for one in values)
    series = Series(rows, aggregate, True, "share" if share else "points", bounds)
    empty: tuple[str, ...] = ("",) * len(rows)
    return TaskScores(name, "1", 0, False, KEY, empty, empty, {KEY: series}, {}, len(rows), 0, 0)


def _member(
    name: str,
    base: Values,
    candidate: Values,
    bounds: tuple[float, float] | None,
    clusters: Values | None,
    aggregate: str,
) -> tuple[TaskScores, TaskScores, Pairs]:
    share, n = bounds == (0.0, 1.0), tuple(range(len(base)))
    labels = None if clusters is None else tuple(str(one) for one in clusters)
    sides = (_task(name, values, share, bounds, aggregate) for values in (base, candidate))
    return *sides, Pairs(n, n, labels, "passage")  # type: ignore[return-value]


def decide(
    base: Values,
    candidate: Values,
    *,
    bounds: tuple[float, float] | None = (0.0, 1.0),
    clusters: Values | None = None,
    aggregate: str = "mean",
) -> Decision:
    """A task of two runs; shares where ``bounds`` are 0 and 1."""
    one, other, pairs = _member("t", base, candidate, bounds, clusters, aggregate)
    return decide_task(one, other, KEY, pairs, ALPHA, details=False)


def decide_several(
    base: Sequence[Values], candidate: Sequence[Values], clusters: Sequence[Values] | None = None
) -> Decision:
    """The average of several tasks, all of the same weight."""
    labels = [None] * len(base) if clusters is None else list(clusters)
    members = [
        _member(f"t{place}", a, b, (0.0, 1.0), own, "mean")
        for place, (a, b, own) in enumerate(zip(base, candidate, labels, strict=True))
    ]
    return decide_average("average", members, KEY, "macro", ALPHA, details=False)


def outcome(found: Decision, margin: float, fail_on: FailOn = "margin") -> Outcome:
    """The gate's check of one decision."""
    return judge_margins([Question(found, Rule(margin=margin))], fail_on, ALPHA)[0].outcome


@cache
def flips(gained: int, lost: int, n: int) -> Decision:
    """Two runs with right and wrong answers of which so many flipped."""
    same = n - gained - lost
    return decide([0.0] * gained + [1.0] * (n - gained), [1.0] * gained + [0.0] * lost + [1.0] * same)


@cache
def outcome_of_flips(gained: int, lost: int, n: int, margin: float, fail_on: FailOn = "margin") -> Outcome:
    """See `outcome`."""
    return outcome(flips(gained, lost, n), margin, fail_on)


@cache
def shown_of_flips(gained: int, lost: int, n: int, margin: float) -> Shown | None:
    """What the gate's check rests on, without its message."""
    return shown_at(flips(gained, lost, n).gain, margin, ALPHA / 2)


@cache
def tails_of_flips(gained: int, lost: int, n: int, null: float) -> tuple[float, float]:
    """See `Inference.tails`."""
    return inference(flips(gained, lost, n)).tails(null)


def single(values: Values, aggregate: str, bounds: tuple[float, float] | None) -> Inference:
    """One run's metric, as a run prints it (without the bootstrap of the standard error, which costs most)."""
    series = _task("t", values, bounds == (0.0, 1.0), bounds, aggregate).series[KEY]
    combine = combine_of(aggregate)
    if combine.closed is None and combine.interval is None:
        return estimate_of(series)
    return Printed(estimate(combine, list(series.values), bounds=bounds).interval)


@dataclass(frozen=True)
class Printed:
    """An interval alone: null values outside of it are rejected."""

    ends: tuple[float, float] | None
    reason: str = ""
    value: float = 0.0
    stderr: float | None = None
    n: int = 0
    method: str = "printed"

    def tails(self, null: float) -> tuple[float, float]:
        """See `Inference.tails`."""
        low, high = self.ends or (-np.inf, np.inf)
        return float(null <= high), float(null >= low)

    def interval(self, level: float = 0.95) -> tuple[float, float] | None:
        """The printed one."""
        return self.ends

    def p_value(self, null: float = 0.0, alternative: Alternative = "two-sided") -> float:
        """1 within the interval, 0 outside of it."""
        return min(self.tails(null))


def inference(found: Decision) -> Inference:
    """What a decision was made from."""
    assert not found.reason, found.reason
    return found.gain
