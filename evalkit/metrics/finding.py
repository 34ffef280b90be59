"""Metrics by name, and the function behind an aggregator that results.json names.

The name in a task file is looked up as ``KIND.NAME`` and then as ``NAME`` in the registry (entry-point group
``evalkit.metrics``): "acc" means accuracy over choices, and the different "acc" of tasks with a single continuation is
registered as "score.acc".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from evalkit.contract import registry
from evalkit.contract.errors import UserError
from evalkit.metrics import hf_evaluate
from evalkit.metrics.base import Metric, MetricKind
from evalkit.metrics.combine import NAMED, Combine

GROUP = registry.METRICS
EVALUATE = "evaluate:"
LM_EVAL = "lm_eval:"
"""Before the name of one of lm-eval's own aggregations."""
_KIND_OF_TASK: Mapping[str, MetricKind] = {"multiple_choice": "choice", "generate": "text"}


def lookup(name: str, kind: str) -> Metric:
    """The metric ``name`` for tasks of ``kind`` (a metric kind or a task's kind). UserError names near ones.

    ``evaluate:NAME`` is a metric of the package evaluate, by its name there, a Hub id or a local path.
    """
    wanted = _KIND_OF_TASK.get(kind, kind)
    if name.startswith(EVALUATE):
        return hf_evaluate.metric(name.removeprefix(EVALUATE), wanted)
    qualified = f"{wanted}.{name}"
    key = qualified if qualified in registry.names(GROUP) else name
    found = registered(key)
    if found.kind != wanted:
        raise UserError(
            f"metric {name} is for tasks of kind {found.kind}, not {wanted}: choose another, "
            f"or register {qualified} in the entry-point group {GROUP}"
        )
    return found


def registered(key: str) -> Metric:
    """The metric that the registry has under ``key``."""
    found = registry.load(GROUP, key)
    if not isinstance(found, Metric):
        raise UserError(f"metric {key}: the entry point in {GROUP} is no Metric but a {type(found).__name__}")
    # The name that results record, so that the metric's own function is found again.
    known = found.joined.name or key in (found.registered, found.name)
    return found if known else replace(found, registered=key)


def suits(metric: Metric, kind: str) -> bool:
    """Whether the metric is one for tasks of ``kind`` (a metric kind or a task's kind)."""
    return metric.kind == _KIND_OF_TASK.get(kind, kind)


def fits(name: str, kind: str) -> bool:
    """Whether there is a metric ``name`` for tasks of ``kind``. UserError where no kind has one."""
    wanted = _KIND_OF_TASK.get(kind, kind)
    if name.startswith(EVALUATE):
        return wanted in ("text", "choice")
    known = registry.names(GROUP)
    if f"{wanted}.{name}" in known:
        return True
    if name not in known and any(one.rpartition(".")[2] == name for one in known):
        return False
    return registered(name).kind == wanted


def direction(name: str) -> bool | None:
    """Whether higher is better, of the metric that the registry has as ``name`` (for any kind); None: it has none."""
    for key in registry.names(GROUP):
        if name in (key, key.rpartition(".")[2]):
            return registered(key).higher_is_better
    return None


def combine_of(aggregator: str) -> Combine:
    """The function that results record as ``aggregator``. UserError where it is not to be had here: unknown, of a
    package that is not installed, or of a file beside a task.
    """
    if aggregator in NAMED:
        return NAMED[aggregator]
    if aggregator.startswith(LM_EVAL):
        return _of_lm_eval(aggregator.removeprefix(LM_EVAL))
    if not aggregator:
        raise UserError("nothing says how its items are joined")
    if aggregator not in registry.names(GROUP):
        raise UserError(f"its items are joined by {aggregator!r}, which no installed package registers as a metric")
    return registered(aggregator).joined


@lru_cache(maxsize=32)
def _of_lm_eval(label: str) -> Combine:
    """lm-eval's aggregation, as a function of all items."""
    try:
        from lm_eval.api import metrics
        from lm_eval.api import registry as theirs
    except ImportError:
        raise UserError(f"its items are joined by lm-eval's {label}, and lm-eval is not installed") from None
    function = getattr(metrics, label, None)
    if function is None or function not in theirs.AGGREGATION_REGISTRY.values():
        raise UserError(f"its items are joined by {label!r}, which is none of lm-eval's own aggregations")
    return Combine(function, LM_EVAL + label, over="items")
