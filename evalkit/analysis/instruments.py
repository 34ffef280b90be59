"""The inference that a metric's items get, one run's or two runs' on the same items, by how the metric joins them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from evalkit.analysis.scores import Series
from evalkit.contract.errors import UserError
from evalkit.contract.types import MEAN, SHARE_UNIT, Bounds
from evalkit.metrics.combine import Combine, table
from evalkit.metrics.finding import combine_of
from evalkit.statistics.choice import average_difference_for, cut_of, difference_for, interval_for
from evalkit.statistics.clusters import codes_of
from evalkit.statistics.corpus import corpus_difference, corpus_estimate, items_estimate
from evalkit.statistics.inference import Inference, combined

SPREAD = 3.0
"""Standard deviations of an item's part in a metric without bounds by which an unseen item may change at most, where no
item seen did.
"""


def estimate_of(series: Series, rows: Sequence[int] | None = None, clusters: Sequence[str] | None = None) -> Inference:
    """One run's metric over its items (``rows`` of them). UserError where it has none, or no error can be given."""
    places = range(len(series.values)) if rows is None else rows
    kept = [place for place in places if series.values[place] is not None]
    values: list[Any] = [series.values[place] for place in kept]
    if not values:
        raise UserError("no item has a value")
    labels = None if clusters is None else [clusters[place] for place in kept]
    combine = _combine(series, series)
    if combine.name == MEAN:
        binary = is_binary(series, values, values)
        return interval_for(values, bounds=series.bounds, binary=binary, clusters=labels)
    codes = None if labels is None else codes_of(labels)
    try:
        if combine.over == "items":
            return items_estimate(
                len(values), lambda rows: combine.value([values[row] for row in rows]), codes=codes,
                bounds=cut_of(series.bounds),
            )  # fmt: skip
        return corpus_estimate(table(values), combine.function, codes=codes, bounds=cut_of(series.bounds))
    except UserError:
        raise
    except Exception as error:  # a plug-in's function may fail without some of its items
        raise UserError(f"without some of its items it has no value ({error})") from error


@dataclass(frozen=True, slots=True)
class Part:
    """Paired values of one task's metric."""

    series: Series
    other: Series
    a: list[Any]
    b: list[Any]
    labels: list[str] | None

    @property
    def bounds(self) -> Bounds | None:
        return self.series.bounds or self.other.bounds

    @property
    def numbers(self) -> bool:
        """Whether items are plain numbers."""
        return tuple not in {*map(type, self.a), *map(type, self.b)}

    def sides(self) -> tuple[float, float]:
        """Both runs' metric over the pairs."""
        combine = _combine(self.series, self.other)
        if combine.name == MEAN:
            if not self.numbers:
                raise UserError("its items hold statistics, of which there is no mean")
            return math.fsum(self.a) / len(self.a), math.fsum(self.b) / len(self.b)
        return combine.value(self.a), combine.value(self.b)

    def inference(self) -> Inference:
        """Candidate minus base, by what fits how the metric joins its items. UserError where nothing does."""
        found = self._inference()
        return _unchanged(self, found) if found.reason and self.a == self.b else found

    def _inference(self) -> Inference:
        combine = _combine(self.series, self.other)
        if combine.name == MEAN:
            if not self.numbers:
                raise UserError("its items hold statistics, of which there is no mean")
            binary = is_binary(self.series, self.a, self.b)
            return difference_for(self.a, self.b, bounds=self.bounds, binary=binary, clusters=self.labels)
        codes = None if self.labels is None else codes_of(self.labels)
        low, high = cut_of(self.bounds)
        try:
            if combine.over == "items":

                def change(rows: Any) -> float:
                    return combine.value([self.b[row] for row in rows]) - combine.value([self.a[row] for row in rows])

                return items_estimate(len(self.a), change, codes=codes, bounds=(low - high, high - low))
            return corpus_difference(table(self.a), table(self.b), combine.function, codes=codes, bounds=(low, high))
        except UserError:
            raise
        except Exception as error:  # a plug-in's function may fail without some of its items
            raise UserError(f"without some of its items it has no value ({error})") from error


def average_difference(parts: Sequence[Part], weights: Sequence[float]) -> Inference:
    """Candidate minus base of a weighted sum over tasks, the tasks being strata: the score method where all have the
    same two bounds, Student's t by Satterthwaite elsewhere. UserError where a task has no inference.
    """
    bounds = parts[0].bounds
    low, high = bounds or (None, None)
    plain = low is not None and high is not None and all(part.bounds == bounds for part in parts)
    if not plain or not all(part.series.aggregate == MEAN and part.numbers for part in parts):
        return combined([part.inference() for part in parts], weights)
    if any(part.other.aggregate != MEAN for part in parts):
        raise UserError("the runs join its items in different ways")
    labels = None if all(part.labels is None for part in parts) else [part.labels for part in parts]
    binary = all(is_binary(part.series, part.a, part.b) for part in parts)
    return average_difference_for(
        [part.a for part in parts], [part.b for part in parts], weights, bounds=bounds, binary=binary, clusters=labels
    )


def _combine(one: Series, other: Series) -> Combine:
    """The function of both runs' metric. UserError where they have none in common, or none with errors."""
    if one.aggregate != other.aggregate:
        raise UserError(f"one run joins its items by {one.aggregate!r}, the other by {other.aggregate!r}")
    combine = combine_of(one.aggregate)
    if combine.name != MEAN and not combine.errors:
        raise UserError("it is no sum over items, and items left out say nothing of other ones")
    return combine


def is_binary(series: Series, a: Sequence[Any], b: Sequence[Any]) -> bool:
    """Whether the items are right or wrong: all 0 or 1, in a share, or in a run that wrote no unit."""
    share = series.unit == SHARE_UNIT or (not series.unit and series.bounds in (None, (0.0, 1.0)))
    return share and {*a, *b} <= {0.0, 1.0}


def _unchanged(part: Part, found: Inference) -> Inference:
    """Of items that all have the same value in both runs, by a metric without bounds: what an unseen item may change by
    is taken to be SPREAD standard deviations of one item's part in the metric.
    """
    try:
        own = estimate_of(replace(part.series, values=tuple(part.a)), clusters=part.labels)
    except UserError:
        return found
    pieces = len(part.a) if part.labels is None else len(set(part.labels))
    if not own.stderr or not math.isfinite(own.stderr):
        return found
    reach = SPREAD * own.stderr * math.sqrt(pieces)
    return interval_for([0.0] * pieces, bounds=(-reach, reach))
