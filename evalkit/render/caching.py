"""Studies of semantic caches as a table, curves and a page."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from evalkit.render.figures import Axis, Mark, Scatter, Segment, scale
from evalkit.render.routing import percent
from evalkit.render.study_page import Page, Part, Table, write_page
from evalkit.routing.semantic_cache import CacheStudy
from evalkit.statistics.routing import Estimate
from evalkit.text.numbers import MISSING

SHOWN = 5
"""Every so many thresholds one stands in the table."""
NOTE = (
    "The first question of each pair is stored, the second asked. A hit is right where it finds its partner and people "
    "say that the two mean the same; all others are false. Intervals are Wilson's, 95 %."
)
HIT, FALSE = 0, 1


def write_cache(study: CacheStudy, model: float, cache: float, name: str, embedder: str, out: Path) -> Path:
    """The page of a study; ``model`` and ``cache``: seconds an answer. UserError for a file that cannot be written."""
    lead = tuple(summary(study, model, cache, name, embedder))
    part = Part("Hits by threshold", NOTE, (curve(study),), (table(study),))
    return write_page(Page(f"A semantic cache before {name}", lead, (part,)), out)


def summary(study: CacheStudy, model: float, cache: float, name: str, embedder: str) -> Iterator[str]:
    """What was found, a sentence a line."""
    yield (
        f"{study.n_train:,} pairs to choose the threshold, {study.n_test:,} others to report on, of which "
        f"{study.n_same:,} have one meaning; embedded by {embedder}."
    )
    if study.chosen is None:
        yield f"No threshold up to 1 keeps false hits at {study.most_false:.0%} of the hits on the training pairs."
    else:
        one = study.chosen
        wrong = "" if one.false_share is None else f", of which {percent(one.false_share)} are false"
        found = "" if one.found is None else f"; {percent(one.found)} of the repeated questions are found"
        limit = f"at most {study.most_false:.0%} of the training hits are false"
        yield f"{one.threshold:.2f} is the least cosine from which on {limit}."
        yield f"From there on, {percent(one.hit_rate)} of the questions are hits{wrong}{found}."
        saved = one.hit_rate.value * model - cache
        yield (
            f"An answer of {name} takes {1000 * model:,.0f} ms, a look-up {1000 * cache:,.2f} ms (medians, one at a "
            f"time, on this machine): a question takes {1000 * (model - saved):,.0f} ms on average with the cache."
        )


def table(study: CacheStudy) -> Table:
    """A row every few thresholds, and the chosen one."""
    kept = [one for place, one in enumerate(study.curve) if place % SHOWN == 0 or one is study.chosen]
    rows = tuple(
        (
            f"{one.threshold:.2f}" + (" (chosen)" if one is study.chosen else ""),
            percent(one.hit_rate),
            MISSING if one.found is None else percent(one.found),
            MISSING if one.false_share is None else percent(one.false_share),
            f"{one.strangers:,}",
        )
        for one in kept
    )
    columns = ("threshold", "hits", "repeated questions found", "false, of the hits", "hits on others")
    return Table("Hits by threshold", columns, rows)


def curve(study: CacheStudy) -> Scatter:
    """Found and false by threshold."""
    across, up = scale((one.threshold for one in study.curve), 0.0, 1.0), scale((0.0, 100.0), 0.0, 100.0)
    marks: list[Mark] = []
    segments: list[Segment] = []
    picks: tuple[tuple[int, str, list[Estimate | None]], ...] = (
        (HIT, "found", [one.found for one in study.curve]),
        (FALSE, "false", [one.false_share for one in study.curve]),
    )
    for tone, name, values in picks:
        points = [
            Mark(
                x=across.at(one.threshold),
                y=100 - up.at(100 * value.value),
                tip=f"from {one.threshold:.2f}: {name} {percent(value)}",
                tone=tone,
                low=100 - up.at(100 * value.interval[0]),
                high=100 - up.at(100 * value.interval[1]),
                size=2.5,
            )
            for one, value in list(zip(study.curve, values, strict=True))[::2]
            if value is not None
        ]
        marks += points
        segments += [Segment(a.x, a.y, b.x, b.y, tone) for a, b in pairwise(points)]
    return Scatter(
        title="Repeated questions found, and false hits",
        note="Lines are 95 % intervals.",
        x=Axis("least cosine of a hit", across.ticks()),
        y=Axis("percent", up.ticks()),
        marks=tuple(marks),
        segments=tuple(segments),
        legend=((HIT, "found, of the repeated questions"), (FALSE, "false, of the hits")),
    )
