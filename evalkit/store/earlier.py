"""What results and baselines of evalkit 0.1.0 do not say of a metric: its aggregator, its unit, whose values it joins.

Written files say all three. For those that do not, and for them alone, `described` works it out of signature and name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from evalkit.contract.types import MEAN, SHARE_UNIT, Level

_OWN = (MEAN, "perplexity", "weighted_perplexity", "bits_per_byte")
"""Aggregators that lm-eval's tasks had evalkit's formulas for."""
_UNITS = {"bits_per_byte": "bits", "entropy": "bits", "distinct": SHARE_UNIT, "ece": SHARE_UNIT, "ter": "percent"}
"""By aggregator; of means see `_unit`."""
_NO_SHARES = {
    "perplexity",
    "ppl",
    "loss",
    "bleu",
    "chrf",
    "ter",
    "score",
    "count",
    "brier",
    "diff",
    "pointwise",
    "comet",
}
"""Words of a mean's name that say that it is no share."""
_NAMED_UNITS = {
    "likelihood_diff": "nats",
    "selfcheck_avg": "nats",
    "selfcheck_max": "nats",
    "summary_words": "words",
    "effective_length": "tokens",
}
_VARIANTS = ("consistency", "always_right", "first_place", "worst", "best", "spread")
"""Of the tasks order:, labels: and templates:: over documents, each of which has several items."""


class Described(NamedTuple):
    """The three that were not written."""

    aggregator: str
    unit: str
    level: Level


def described(
    name: str, signature: str, values: Sequence[float | None], bounds: Sequence[Any] | None = None
) -> Described:
    """Of a metric by its name (without filter) and signature; ``values`` are its value and its interval's ends."""
    parts = signature.split("|")
    found = {key: value for part in parts for key, colon, value in [part.partition(":")] if colon}
    if "avg" in found:
        return Described(found["avg"], _unit(name, MEAN, values, bounds), "group")
    label = found.get("agg", "")
    own = found.get("metric", name)
    level: Level = "item"
    if name in _VARIANTS:
        level = "group"
    elif "evaluate" in found or own == "comet" or not label:
        level = "corpus"
    aggregator = {"chrf++": "chrf_plus_plus"}.get(label, label)
    if found.get("by", "").startswith("lm-eval-") and label not in _OWN:
        aggregator = f"lm_eval:{label}"
    return Described(aggregator, _unit(own, label or MEAN, values, bounds), level)


def _unit(name: str, label: str, values: Sequence[float | None], bounds: Sequence[Any] | None) -> str:
    if name in _NAMED_UNITS:
        return _NAMED_UNITS[name]
    if label != MEAN:
        return _UNITS.get(label, "")
    if bounds is not None and None not in bounds:
        return SHARE_UNIT if list(bounds) == [0, 1] else ""
    if set(re.split(r"[^a-z]+", name.lower())) & _NO_SHARES:
        return ""
    return SHARE_UNIT if all(0 <= value <= 1 for value in values if value is not None) else ""


def complete(records: Mapping[str, Any]) -> None:
    """Add to every metric of results.json's records what an earlier version did not write, in place."""
    found = [(task, "metrics") for task in _dicts(records.get("tasks"))]
    found += [(group, side) for group in _dicts(records.get("groups")) for side in ("micro", "macro")]
    for owner, key in found:
        for metric in _dicts(owner.get(key)):
            if "aggregator" not in metric and {"name", "signature"} <= set(metric):
                interval = metric.get("interval")
                values = [metric.get("value"), *(interval if isinstance(interval, list) else ())]
                numbers = [value for value in values if isinstance(value, int | float)]
                bounds = metric.get("bounds")
                metric |= described(
                    str(metric["name"]),
                    str(metric["signature"]),
                    numbers,
                    bounds if isinstance(bounds, list) else None,
                )._asdict()


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
