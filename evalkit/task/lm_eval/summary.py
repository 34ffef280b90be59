"""lm-eval's aggregated values with evalkit's standard errors and intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import evalkit
from evalkit.contract.errors import UserError
from evalkit.contract.types import MEAN, SHARE_UNIT, Bounds, MetricResult, TaskInfo
from evalkit.metrics import combine
from evalkit.metrics.base import SHARE
from evalkit.metrics.combine import Estimate
from evalkit.metrics.finding import LM_EVAL
from evalkit.statistics import intervals
from evalkit.statistics.corpus import BLOCKS, items_estimate
from evalkit.task.lm_eval import squad
from evalkit.task.lm_eval.plain import number

_OWN_ERRORS = ("mean", "perplexity", "weighted_perplexity", "bits_per_byte")
"""Aggregations of lm-eval whose error has a formula (evalkit.metrics.combine)."""
_DECLARED: Mapping[str, tuple[str, Bounds]] = {
    **dict.fromkeys(("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "acc_all"), (SHARE_UNIT, SHARE)),
    **dict.fromkeys(("exact_match", "em", "f1"), (SHARE_UNIT, SHARE)),
    **dict.fromkeys(("perplexity", "word_perplexity", "byte_perplexity"), ("", (1.0, None))),
    "bits_per_byte": ("bits", (0.0, None)),
    "bleu": ("", (0.0, 100.0)),
    "chrf": ("", (0.0, 100.0)),
    "chrf++": ("", (0.0, 100.0)),
    "ter": ("percent", (0.0, None)),
    "mcc": ("", (-1.0, 1.0)),
    "brier_score": ("", (0.0, 2.0)),
}
"""Unit and bounds of the metrics of lm-eval's registry, which says neither."""
_SLOW = ("bleu", "chrf", "chrfpp", "ter")
_WORK = 100_000
"""Items that a bootstrap may look at, over all its resamples; a tenth of them for what is slow."""


def metrics(info: TaskInfo, task: Any, rows: Sequence[Mapping[str, Any]], seed: int) -> tuple[MetricResult, ...]:
    """One metric a "metric,filter" key among the samples' values, in the order of first appearance."""
    columns: dict[str, list[Any]] = {}
    for row in rows:
        for key, value in row.items():
            columns.setdefault(key, []).append(value)
    primary = info.primary if info.primary in columns else next(iter(columns), None)
    return tuple(_metric(info, task, key, items, seed, primary=key == primary) for key, items in columns.items())


def aggregation(task: Any, name: str) -> Callable[[Sequence[Any]], Any]:
    """lm-eval's function that joins a metric's values; its mean where the task names none, as lm-eval does."""
    from lm_eval.api.metrics import mean

    function = task.aggregation().get(name, mean)
    return squad.replacement(function) or function


def _metric(info: TaskInfo, task: Any, key: str, items: list[Any], seed: int, primary: bool) -> MetricResult:
    name, _, filter_name = key.rpartition(",")
    function = aggregation(task, name)
    label = getattr(function, "__name__", type(function).__name__)
    try:
        value = number(function(items))
    except ImportError as error:
        raise UserError(f"lm_eval:{info.name}: the metric {name} needs a package that is not there: {error}") from error
    estimate = with_error(value, function, label, items, seed)
    parts = [name, f"agg:{label}", *([] if filter_name == "none" else [f"filter:{filter_name}"])]
    parts += [
        f"by:lm-eval-{_version()}",
        f"ci:{estimate.method}",
        f"n:{len(items)}",
        f"v:evalkit-{evalkit.__version__}",
    ]
    better = task.higher_is_better().get(name, True)
    own = getattr(function, "__module__", "") == "lm_eval.api.metrics"
    unit, bounds = _meaning(name, value, items, label if own else "")
    return MetricResult(
        name=name,
        filter=filter_name,
        value=value,
        stderr=estimate.stderr,
        interval=intervals.within(estimate.interval, bounds),
        n=len(items),
        higher_is_better=bool(better),
        signature="|".join(parts),
        primary=primary,
        bounds=bounds,
        unit=unit,
        aggregator=_aggregator(label) if own else "",
        level="item" if all(_is_numeric(item) for item in items) else "corpus",
    )


def _meaning(name: str, value: float | None, items: Sequence[Any], label: str) -> tuple[str, Bounds | None]:
    """Unit and bounds. A mean of zeros and ones is a share whatever its name; a task may use a name of the registry in
    a sense of its own (accuracy in percent), which its values tell.
    """
    unit, bounds = _DECLARED.get(name, ("", None))
    known = [one for item in items if (one := number(item)) is not None]
    if label == MEAN and items and all(one in (0.0, 1.0) for one in known) and len(known) == len(items):
        return SHARE_UNIT, SHARE
    seen = known if label == MEAN and len(known) == len(items) else [] if value is None else [value]
    low, high = bounds or (None, None)
    fits = all((low is None or low <= one) and (high is None or one <= high) for one in seen)
    return (unit, bounds) if fits else ("", None)


def _aggregator(label: str) -> str:
    return label if label in combine.NAMED else LM_EVAL + label


def with_error(
    value: float | None, function: Callable[[Sequence[Any]], Any], label: str, items: list[Any], seed: int
) -> Estimate:
    """``value`` with an error: by formula where there is one, else a bootstrap that stays cheap and the interval of the
    jackknife (of the bootstrap where the items are too many to leave out each), else none.
    """
    if value is None:
        return combine.NOTHING
    own = getattr(function, "__module__", "") == "lm_eval.api.metrics"
    if own and label in _OWN_ERRORS and all(_is_numeric(item) for item in items):
        shares = label == MEAN and all(number(item) in (0.0, 1.0) for item in items)
        return combine.estimate(combine.NAMED[label], items, binary=shares, seed=seed)
    resamples = min(1000, (_WORK // 10 if label in _SLOW else _WORK) // max(1, len(items)))
    if resamples < 100:
        return Estimate(value, None, None, "none")
    try:
        drawn = intervals.bootstrap_interval(
            lambda index: float(function([items[i] for i in index])), len(items), seed, resamples
        )
    except Exception:
        # A resample may lack what the function needs (a class without members); the value itself stands.
        return Estimate(value, None, None, "none")
    if drawn is None or number(drawn[0]) is None:
        return Estimate(value, None, None, "none")
    if min(len(items), BLOCKS) > resamples:  # too many items to leave each of them out, and enough for percentiles
        return Estimate(value, drawn[0], drawn[1], f"bootstrap{resamples}")
    try:
        found = items_estimate(len(items), lambda rows: float(function([items[i] for i in rows])), seed=seed)
    except Exception:  # as above
        return Estimate(value, drawn[0], None, "none")
    interval = found.interval()
    return Estimate(value, drawn[0], interval, "none" if interval is None else found.method.partition("|")[0])


def _is_numeric(item: Any) -> bool:
    if isinstance(item, tuple | list):
        return all(number(part) is not None for part in item)
    return number(item) is not None


def _version() -> str:
    from importlib.metadata import version

    return version("lm-eval")
