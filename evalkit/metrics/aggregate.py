"""A metric over all samples: the published number with its error, its unit and its signature."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import evalkit
from evalkit.contract import types
from evalkit.contract.errors import UserError
from evalkit.metrics.base import AllItems, Metric, ScoringInput
from evalkit.metrics.combine import Estimate, Value, estimate
from evalkit.statistics import intervals


def aggregate(
    metric: Metric,
    values: Sequence[Value],
    *,
    filter: str = "none",
    args: Mapping[str, Any] | None = None,
    name: str | None = None,
    seed: int = 1234,
    baseline: float | None = None,
    majority: float | None = None,
    primary: bool = False,
    samples: Sequence[ScoringInput] = (),
    clusters: Sequence[str] | None = None,
) -> types.MetricResult:
    """The metric over all samples, with standard error, 95 % interval, n and signature.

    ``samples`` are what a metric that sees all items at once is computed from; the others need ``values``.
    ``clusters`` has one label a value, of items that share a passage.
    ``name`` is the name in results, where it is not the definition's own. Samples that are None are left out of n;
    without any value the metric's value is None, never 0.
    """
    kept: list[Any] = [value for value in values if value is not None]
    n, found = len(kept), None
    labels = None
    if clusters is not None and metric.all_items is None:
        labels = [label for label, value in zip(clusters, values, strict=True) if value is not None]
    count = len(set(labels)) if labels else n
    labels = labels if count < n else None
    if metric.all_items is not None and samples:
        whole = _whole(metric, metric.all_items, samples, args or {})
        n = len(samples)
        if isinstance(whole, int | float):
            kept, found = [whole], Estimate(float(whole), None, None, "none")
        else:
            kept = list(whole)
    if found is None:
        try:
            found = estimate(
                metric.joined, kept, binary=metric.binary, bounds=metric.bounds, seed=seed, clusters=labels
            )
        except UserError as error:
            raise UserError(f"metric {metric.name}: {error}") from error
    shown = name or metric.name
    return types.MetricResult(
        name=shown,
        filter=filter,
        value=found.value,
        stderr=found.stderr,
        interval=intervals.within(found.interval, metric.bounds),
        n=n,
        higher_is_better=metric.higher_is_better,
        signature=signature(metric, shown, filter, args or {}, found.method, kept, n, count if labels else 0),
        primary=primary,
        baseline=baseline,
        majority=majority,
        bounds=metric.bounds,
        unit=metric.unit,
        aggregator=metric.aggregator,
        level=metric.level,
        clusters=count if labels else None,
    )


def _whole(
    metric: Metric, function: AllItems, samples: Sequence[ScoringInput], args: Mapping[str, Any]
) -> Sequence[Any] | float:
    try:
        return function(samples, args)
    except UserError:
        raise
    except Exception as error:  # a plug-in's function may fail in its own way
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise UserError(f"metric {metric.name}: it fails over all {len(samples)} items: {reason}") from error


def signature(
    metric: Metric,
    shown: str,
    filter: str,
    args: Mapping[str, Any],
    interval_method: str,
    values: Sequence[Any],
    n: int,
    clusters: int = 0,
) -> str:
    """How a number was computed, on one line: "acc|agg:mean|ci:wilson-midp|n:200|v:evalkit-0.1.0"."""
    parts = [shown]
    if shown != metric.name:
        parts.append(f"metric:{metric.name}")
    parts.append(f"agg:{metric.aggregator}")
    if filter != "none":
        parts.append(f"filter:{filter}")
    if args:
        text = json.dumps(dict(args), sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
        # "|" separates the parts; inside JSON it can be written as an escape.
        parts.append("args:" + text.replace("|", "\\u007c"))
    if metric.describe is not None and values:
        parts.append(metric.describe(args, values))
    parts.append(f"ci:{interval_method}")
    if clusters:
        parts.append(f"clusters:{clusters}")
    parts += [f"n:{n}", f"v:evalkit-{evalkit.__version__}"]
    return "|".join(parts)
