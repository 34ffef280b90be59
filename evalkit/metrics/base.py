"""What a metric is, how one is found by name, and how per-sample values become a published number.

A metric is a pure function of one sample (``MetricDef.sample``) and the name of an aggregator. The name in a task file
is looked up as ``KIND.NAME`` and then as ``NAME`` in the entry-point group ``evalkit.metrics``: "acc" means accuracy
over choices, and the different "acc" of tasks with a single continuation is registered as "score.acc".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import evalkit
from evalkit.contract import registry
from evalkit.contract.errors import UserError
from evalkit.contract.types import Bounds, Metric
from evalkit.metrics import aggregators
from evalkit.statistics import intervals

MetricKind = Literal["choice", "text", "score", "rolling"]
Value = float | tuple[float, ...] | None
"""One sample's value: a number; a tuple of sufficient statistics of a corpus metric; None where it does not apply."""

GROUP = "evalkit.metrics"
EVALUATE = "evaluate:"
SHARE: Bounds = (0.0, 1.0)
"""Of metrics that are shares, probabilities or F-measures."""
_KIND_OF_TASK: Mapping[str, MetricKind] = {"multiple_choice": "choice", "generate": "text"}


@dataclass(frozen=True, slots=True)
class ScoringInput:
    """All that a metric may look at: one document, one answer.

    ``target`` is the gold index, a list of gold indices, a text or a list of texts, as the task's kind has it.
    ``loglikelihoods`` (nats) and ``is_greedy`` run parallel to ``choices``; a task with one continuation has one of
    each.
    ``text`` is the filtered generation, ``reference_text`` the text of a rolling task. Where a task asks several times,
    ``texts`` holds every answer that the filter left, and ``text`` is the first. ``tokens`` counts what a rolling task
    scored (0: not known).
    """

    target: Any = None
    choices: tuple[str, ...] = ()
    loglikelihoods: tuple[float, ...] = ()
    is_greedy: tuple[bool, ...] = ()
    text: str | None = None
    texts: tuple[str, ...] = ()
    reference_text: str = ""
    tokens: int = 0
    document: Mapping[str, Any] = field(default_factory=dict)
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MetricDef:
    """A metric: what it computes for one sample, and which aggregator (evalkit.metrics.aggregators) joins the values.

    ``binary``: values are 0 or 1, and the interval is Wilson's. ``source`` cites where the rule comes from.
    ``bounds``: what values lie within by definition (None: not known); intervals are cut there.
    ``prepare(args)`` raises UserError before a run for arguments that make no sense and for missing packages;
    ``describe(args, values)`` adds to the signature (parts joined by "|"); ``corpus(samples, args)`` replaces
    ``sample`` where all samples must be seen at once: it gives one value a sample, or one number for all.
    """

    name: str
    kind: MetricKind
    sample: Callable[[ScoringInput], Value]
    aggregate: str
    higher_is_better: bool
    binary: bool
    source: str
    prepare: Callable[[Mapping[str, Any]], None] | None = None
    describe: Callable[[Mapping[str, Any], Sequence[Any]], str] | None = None
    corpus: Callable[[Sequence[ScoringInput], Mapping[str, Any]], Sequence[float] | float] | None = None
    bounds: Bounds | None = None


def lookup(name: str, kind: str) -> MetricDef:
    """The metric ``name`` for tasks of ``kind`` (a metric kind or a task's kind). UserError names near ones.

    ``evaluate:NAME`` is a metric of the package evaluate, by its name there, a Hub id or a local path.
    """

    wanted = _KIND_OF_TASK.get(kind, kind)
    if name.startswith(EVALUATE):
        from evalkit.metrics import hf_evaluate

        return hf_evaluate.metric(name.removeprefix(EVALUATE), wanted)
    qualified = f"{wanted}.{name}"
    found = registry.load(GROUP, qualified if qualified in registry.names(GROUP) else name)
    if not isinstance(found, MetricDef):
        raise UserError(f"metric {name}: the entry point in {GROUP} is no MetricDef but a {type(found).__name__}")
    if found.kind != wanted:
        raise UserError(
            f"metric {name} is for tasks of kind {found.kind}, not {wanted}: choose another, "
            f"or register {qualified} in the entry-point group {GROUP}"
        )
    return found


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
    return bool(registry.load(GROUP, name).kind == wanted)


def aggregate(
    defn: MetricDef,
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
) -> Metric:
    """The metric over all samples, with standard error, 95 % interval, n and signature.

    ``samples`` are what a metric that sees the whole corpus at once is computed from; the others need ``values``.
    ``name`` is the name in results, where it is not the definition's own. Samples that are None are left out of n;
    without any value the metric's value is None, never 0.
    """

    kept = [value for value in values if value is not None]
    n = len(kept)
    if defn.corpus is not None and samples:
        found = defn.corpus(samples, args or {})
        n = len(samples)
        kept = [found] if isinstance(found, int | float) else list(found)
    estimate = aggregators.get(defn.aggregate).estimate(kept, defn.binary, seed)
    shown = name or defn.name
    bounds = defn.bounds or (SHARE if defn.binary else None)
    return Metric(
        name=shown,
        filter=filter,
        value=estimate.value,
        stderr=estimate.stderr,
        interval=intervals.within(estimate.interval, bounds),
        n=n,
        higher_is_better=defn.higher_is_better,
        signature=signature(defn, shown, filter, args or {}, estimate.method, kept, n),
        primary=primary,
        baseline=baseline,
        majority=majority,
        bounds=bounds,
    )


def signature(
    defn: MetricDef,
    shown: str,
    filter: str,
    args: Mapping[str, Any],
    interval_method: str,
    values: Sequence[Any],
    n: int,
) -> str:
    """How a number was computed, on one line: "acc|agg:mean|ci:wilson|n:200|v:evalkit-0.1.0"."""
    parts = [shown]
    if shown != defn.name:
        parts.append(f"metric:{defn.name}")
    parts.append(f"agg:{defn.aggregate}")
    if filter != "none":
        parts.append(f"filter:{filter}")
    if args:
        text = json.dumps(dict(args), sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
        # "|" separates the parts; inside JSON it can be written as an escape.
        parts.append("args:" + text.replace("|", "\\u007c"))
    if defn.describe is not None and values:
        parts.append(defn.describe(args, values))
    parts += [f"ci:{interval_method}", f"n:{n}", f"v:evalkit-{evalkit.__version__}"]
    return "|".join(parts)
