"""The metrics of a definition: each found and fitted to the task, and what it is shown of one item."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import Response
from evalkit.metrics import base, finding
from evalkit.metrics.translation import BY_LANGUAGE
from evalkit.task.definition import Definition, MetricEntry
from evalkit.task.rendering import Item, load_code
from evalkit.task.source import Source


@dataclass(frozen=True, slots=True)
class Scorer:
    """One entry of a definition's metrics, and the metric it names."""

    entry: MetricEntry
    metric: base.Metric

    @property
    def key(self) -> str:
        """The entry's key; one text for all samples that carry it."""
        return sys.intern(self.entry.key)


def scorer_of(
    entry: MetricEntry, index: int, definition: Definition, source: Source, own: Mapping[str, base.Metric]
) -> Scorer:
    """The metric of the entry numbered ``index``: of ``own``, of a file beside the task, or a registered one. Raises
    UserError, with file and line, for one that is not there or does not fit.
    """
    where = source.locate("metrics", index, "metric")
    if entry.metric in own or ".py:" in entry.metric:
        metric = own[entry.metric] if entry.metric in own else load_code(entry.metric, where)
        if not isinstance(metric, base.Metric):
            raise UserError(f"{where}: {entry.metric} is no Metric but a {type(metric).__name__}")
        if not finding.suits(metric, definition.kind):
            raise UserError(
                f"{where}: {entry.metric} is for tasks of kind {metric.kind}, not {definition.kind}: choose another"
            )
        # Of a file beside the task: where it lies is nobody's business.
        metric = replace(metric, registered=f"{Path(entry.metric.rpartition(':')[0]).name}:{metric.name}")
    else:
        try:
            metric = finding.lookup(entry.metric, definition.kind)
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
    if metric.prepare is not None:
        try:
            metric.prepare(entry.args)
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
    if entry.higher_is_better is not None:
        metric = replace(metric, higher_is_better=entry.higher_is_better)
    return Scorer(entry, metric)


def work_ahead(
    scorers: Sequence[Scorer], answered: Sequence[tuple[Item, Sequence[Response], Mapping[str, tuple[str, ...]]]]
) -> None:
    """Let metrics work out for many items at once what they can: each item with its responses and filtered texts."""
    for one in scorers:
        if one.metric.ahead is not None:
            shown = [
                scoring_input(item, responses, texts.get(one.entry.filter), one.entry, {})
                for item, responses, texts in answered
                if not item.problem
            ]
            one.metric.ahead(shown)


def with_metrics(definition: Definition, asked: Sequence[str]) -> tuple[Definition, tuple[str, ...]]:
    """The definition with metrics that the user asks for (in the target language of its others), and the names of those
    that are for another kind of task.

    UserError for a name that no kind has.
    """
    entries, unfit = list(definition.metrics), []
    language = next((one.args["target_language"] for one in entries if "target_language" in one.args), None)
    for name in asked:
        spoken = language is not None and name in BY_LANGUAGE
        entry = MetricEntry(metric=name, args={"target_language": language} if spoken else {})
        if any(known.key == entry.key for known in entries):
            continue
        if finding.fits(name, definition.kind):
            entries.append(entry)
        else:
            unfit.append(name)
    return definition.model_copy(update={"metrics": tuple(entries)}), tuple(unfit)


def scoring_input(
    item: Item,
    responses: Sequence[Response],
    texts: tuple[str, ...] | None,
    entry: MetricEntry,
    known: dict[Any, Any],
) -> base.ScoringInput:
    """What a metric looks at of one item. ``texts``: the filtered answers of a generating task, else None; ``known``
    is shared by an item's metrics, so that one computation serves several.
    """
    generated = texts is not None
    return base.ScoringInput(
        target=item.target,
        choices=item.choices,
        loglikelihoods=() if generated else tuple(response.loglikelihood or 0.0 for response in responses),
        is_greedy=() if generated else tuple(bool(response.is_greedy) for response in responses),
        text=(texts[0] if texts else "") if texts is not None else None,
        texts=texts or (),
        tokens=0 if generated else sum(response.prompt_tokens for response in responses),
        reference_text="" if generated or item.choices else str(item.target),
        document=item.row,
        args=entry.args,
        known=known,
    )
