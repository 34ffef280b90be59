"""What a metric is: one object that says how an item is scored, how values are joined, and what the number means.

Everything downstream (intervals, paired tests, the gate, boards, reports) asks this object, or what results.json kept
of it, and nothing guesses from a name. evalkit.metrics.finding looks one up; evalkit.metrics.aggregate makes numbers.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from evalkit.contract.errors import UserError
from evalkit.contract.types import SHARE_UNIT, Bounds, Level
from evalkit.metrics import combine as combining
from evalkit.metrics.combine import Combine, Value

MetricKind = Literal["choice", "text", "score", "rolling"]
SHARE: Bounds = (0.0, 1.0)
"""Of metrics that are shares, probabilities or F-measures."""
LONGEST_UNIT = 20


@dataclass(frozen=True, slots=True)
class ScoringInput:
    """All that a metric may look at: one document, one answer.

    ``target`` is the gold index, a list of gold indices, a text or a list of texts, as the task's kind has it.
    ``loglikelihoods`` (nats) and ``is_greedy`` run parallel to ``choices``; a task with one continuation has one of
    each.
    ``text`` is the filtered generation, ``reference_text`` the text of a rolling task. Where a task asks several times,
    ``texts`` holds every answer that the filter left, and ``text`` is the first. ``tokens`` counts what a rolling task
    scored (0: not known). ``known`` keeps what the metrics of one document share (see `shared`).
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
    known: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)


PerItem = Callable[[ScoringInput], Value]
AllItems = Callable[[Sequence[ScoringInput], Mapping[str, Any]], Sequence[Any] | float]


def _nothing(item: ScoringInput) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric. UserError for a definition that makes no sense, when it is made.

    ``per_item(item)`` scores one item: a number, a tuple of statistics, or None where the metric does not apply.
    ``combine`` makes the number of all items: the mean; or a function of the summed statistics (a number v sums as
    (v, 1)); or `evalkit.metrics.combine.items` of a function of all items' values; or the name of a shipped one.
    ``unit``: "share" (of one, shown in percent), "percent", "nats", "bits", "words", "tokens", "seconds" or another
    short word; "" for none. ``bounds``: what values lie within by definition (None: not known); intervals end there.
    ``binary``: values are 0 or 1, so that the metric is a share. ``source`` cites where the rule comes from.
    ``level`` is "group" where one value belongs to several items together, so that no sample keeps it.
    ``prepare(args)`` raises UserError before a run for arguments that make no sense and for missing packages;
    ``describe(args, values)`` adds to the signature (parts joined by "|"); ``all_items(items, args)`` replaces
    ``per_item`` where all items must be seen at once: it gives one value an item (a number, or a tuple of statistics
    that ``combine`` makes the number of), or one number for all.
    ``registered`` is the name that the registry has it under, where that is not its own.
    ``executes``: it runs programs that the model has written, which a run must allow. ``ahead(items)`` works out for
    many items at once what ``per_item`` then looks up (programs that run side by side).
    """

    name: str
    kind: MetricKind
    higher_is_better: bool
    per_item: PerItem = _nothing
    combine: Combine | Callable[[Any], float] | str = combining.MEAN
    unit: str = ""
    bounds: Bounds | None = None
    binary: bool = False
    source: str = ""
    level: Level = "item"
    prepare: Callable[[Mapping[str, Any]], None] | None = None
    describe: Callable[[Mapping[str, Any], Sequence[Any]], str] | None = None
    all_items: AllItems | None = None
    registered: str = ""
    executes: bool = False
    ahead: Callable[[Sequence[ScoringInput]], None] | None = None

    def __post_init__(self) -> None:
        if problem := self._problem():
            raise UserError(f"metric {self.name!r}: {problem}")
        chosen = self.combine
        if isinstance(chosen, str):
            try:
                chosen = combining.named(chosen)
            except UserError as error:
                raise UserError(f"metric {self.name!r}: {error}") from None
        put = object.__setattr__
        put(self, "combine", chosen if isinstance(chosen, Combine) else Combine(chosen))
        put(self, "unit", self.unit or (SHARE_UNIT if self.binary else ""))
        put(self, "bounds", self.bounds or (SHARE if self.binary else None))
        put(self, "level", "corpus" if self.all_items is not None else self.level)

    def _problem(self) -> str:
        if not isinstance(self.name, str) or not self.name or set(self.name) & set(",|\n"):
            return 'a name is a text without "," and "|"'
        if self.kind not in get_args(MetricKind):
            return f"unknown kind {self.kind!r}; choose one of {', '.join(get_args(MetricKind))}"
        if not isinstance(self.higher_is_better, bool):
            return f"higher_is_better is {self.higher_is_better!r}; give True or False"
        if not isinstance(self.unit, str) or len(self.unit) > LONGEST_UNIT or not (self.unit + "x").isprintable():
            return f"unit is {self.unit!r}; give at most {LONGEST_UNIT} printable characters"
        if self.level not in get_args(Level):
            return f"unknown level {self.level!r}; choose one of {', '.join(get_args(Level))}"
        if not (isinstance(self.combine, str | Combine) or callable(self.combine)):
            return f"combine is {self.combine!r}; give a function of the summed statistics"
        for what, function in (("per_item", self.per_item), ("all_items", self.all_items)):
            if function is not None and not callable(function):
                return f"{what} is {function!r}; give a function"
        return self._wrong_bounds()

    def _wrong_bounds(self) -> str:
        if self.bounds is None:
            return ""
        if not isinstance(self.bounds, Sequence) or len(self.bounds) != 2:
            return f"bounds are {self.bounds!r}; give (least, most), None for an open end"
        low, high = (-math.inf if self.bounds[0] is None else self.bounds[0]), self.bounds[1]
        return "" if high is None or low < high else f"bounds are {self.bounds!r}; the least comes first"

    @property
    def joined(self) -> Combine:
        """``combine`` as an object."""
        assert isinstance(self.combine, Combine)
        return self.combine

    @property
    def aggregator(self) -> str:
        """What results record, and `finding.combine_of` finds ``combine`` by."""
        return self.joined.name or self.registered or self.name


def share_metric(name: str, per_item: PerItem, *, source: str, kind: MetricKind = "text", **more: Any) -> Metric:
    """A `Metric` of values from 0 to 1 (shares, probabilities, F-measures). Higher is better unless ``more``, its other
    fields, says otherwise.
    """
    fixed = {"name": name, "per_item": per_item, "source": source, "kind": kind, "unit": SHARE_UNIT, "bounds": SHARE}
    return Metric(**{"higher_is_better": True, **fixed, **more})


def checked(metric: Metric, value: Any) -> Value:
    """What ``per_item`` gave, as a float, a tuple of floats or None. UserError for anything else."""
    if value is None or type(value) is float:
        return value
    try:
        if isinstance(value, tuple | list):
            return tuple(float(part) for part in value)
        if isinstance(value, str | bytes):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise UserError(
            f"metric {metric.name}: per_item gave {str(value)[:60]!r} ({type(value).__name__}); give a number, a tuple "
            "of numbers, or None"
        ) from None


def shared(compute: Callable[[ScoringInput], Mapping[str, Value] | None], part: str) -> Callable[[ScoringInput], Value]:
    """A ``per_item`` that is one part of what ``compute`` gives; the parts of one document are computed once.

    ``compute`` looks at nothing but its argument; None: nothing applies.
    """

    def per_item(item: ScoringInput) -> Value:
        args = json.dumps(dict(item.args), sort_keys=True, default=repr)
        key = (compute, item.text, item.texts, args)
        if key not in item.known:
            item.known[key] = compute(item)
        found = item.known[key]
        return None if found is None else found[part]

    return per_item


def restricted(per_item: PerItem) -> PerItem:
    """The same for the documents that ``args: {only: {FIELD: VALUE}}`` names alone; of the others nothing."""

    def of_some(item: ScoringInput) -> Value:
        only = item.args.get("only")
        if not only:
            return per_item(item)
        if any(item.document.get(key) != value for key, value in only.items()):
            return None
        # Without it, so that what is shared between a document's metrics is computed once.
        return per_item(replace(item, args={key: value for key, value in item.args.items() if key != "only"}))

    return of_some


def MetricDef(
    name: str,
    kind: MetricKind,
    sample: PerItem,
    aggregate: str,
    higher_is_better: bool,
    binary: bool,
    source: str,
    prepare: Callable[[Mapping[str, Any]], None] | None = None,
    describe: Callable[[Mapping[str, Any], Sequence[Any]], str] | None = None,
    corpus: AllItems | None = None,
    bounds: Bounds | None = None,
) -> Metric:
    """A `Metric` as evalkit 0.1 wrote it; give a `Metric` instead. What is bounded by 0 and 1 counts as a share."""
    warnings.warn(
        f"metric {name}: MetricDef is deprecated; write evalkit.metrics.base.Metric(name=..., per_item=..., ...)",
        DeprecationWarning,
        stacklevel=2,
    )
    return Metric(
        name=name,
        kind=kind,
        higher_is_better=higher_is_better,
        per_item=sample,
        combine=aggregate,
        unit=SHARE_UNIT if binary or bounds == SHARE else "",
        bounds=bounds,
        binary=binary,
        source=source,
        prepare=prepare,
        describe=describe,
        all_items=corpus,
    )
