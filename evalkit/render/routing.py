"""Studies of cascades as tables, a curve and a page."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from evalkit.render.figures import Axis, Mark, Scatter, Segment, scale
from evalkit.render.study_page import Page, Part, Table, write_page
from evalkit.routing.study import Point, Study
from evalkit.statistics.routing import Estimate
from evalkit.text.numbers import MISSING

FAR = 20
"""How many times the least cost the largest has to be for a logarithmic axis."""
CURVE = 0
"""The curve's tone; the models have those behind it."""


def write_cascade(study: Study, out: Path) -> Path:
    """The page of a study of a cascade. Raises UserError for a file that cannot be written."""
    return write_page(
        Page(
            "A cascade of " + ", ".join(study.models),
            tuple(summary(study)),
            (
                Part("Accuracy against cost", CURVE_NOTE, (curve(study),), (points_table(study), alone_table(study))),
                Part("The scorers, on items held out", SCORER_NOTE, (reliability(study),), (scorer_table(study),)),
            ),
        ),
        out,
    )


CURVE_NOTE = (
    "Orders and thresholds were chosen for each budget on the training items; quality and cost are those of the test "
    "items. Lines are 95 % intervals (bootstrap over items). Costs are a mean an item, in the currency of the prices."
)
SCORER_NOTE = (
    "A scorer says how likely an answer is right. Well calibrated, of the answers with a score of 0.7 seven in ten are "
    "right: the points lie on the diagonal."
)


def summary(study: Study) -> Iterator[str]:
    """What was found, a sentence a line."""
    left = f" {study.left_out:,} items without a score from every model are left out." if study.left_out else ""
    yield (
        f"{study.n_train:,} items to train scorers and choose thresholds, {study.n_test:,} others to report on: "
        f"{', '.join(study.tasks)}.{left}"
    )
    if study.matched is not None and len(study.matched.policy.order) > 1:
        words = f"The cheapest policy as good as {study.best} on the training items is {path(study, study.matched)}"
        saved = "" if study.saving is None else f" and saves {percent(study.saving)} of its cost"
        yield f"{words}: on the test items its quality differs by {signed(study.matched.gain)} points{saved}."
    elif study.matched is not None:
        alone = path(study, study.matched)
        yield f"On the training items no cascade is as good as {study.best} at less than the cost of {alone} alone."
    best = max(study.curve, key=lambda one: one.trained_quality)
    yield f"At any cost, {path(study, best)} has {percent(best.quality)}, {signed(best.gain)} points from {study.best}."
    yield f"The best answer of any model to each item would reach {percent(study.oracle)}: no cascade can be better."


def path(study: Study, point: Point) -> str:
    """A policy in words: "a (from 0.61), then b"."""
    names = [study.models[number] for number in point.policy.order]
    parts = [f"{name} (from {limit:.2f})" for name, limit in zip(names, point.policy.thresholds, strict=False)]
    return ", then ".join([*parts, names[-1]])


def percent(one: Estimate) -> str:
    """ "61.2 % [58.0, 64.1]"."""
    low, high = one.interval
    return f"{100 * one.value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def signed(one: Estimate) -> str:
    """A difference in points."""
    low, high = one.interval
    return f"{100 * one.value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def money(one: Estimate) -> str:
    """A cost an item."""
    low, high = one.interval
    return f"{one.value:.3g} [{low:.3g}, {high:.3g}]"


def points_table(study: Study) -> Table:
    """A row a point of the curve."""
    rows = tuple(
        (
            path(study, one),
            f"{one.budget:.3g}",
            money(one.cost),
            percent(one.quality),
            signed(one.gain),
            ", ".join(f"{share:.0%}" for share in one.share),
        )
        for one in study.curve
    )
    columns = ("policy", "budget", "cost", "quality", f"points from {study.best}", "answered by each")
    return Table("Policies by budget", columns, rows)


def alone_table(study: Study) -> Table:
    """A row a model."""
    rows = tuple((one.model, money(one.cost), percent(one.quality)) for one in study.alone)
    return Table("Each model alone", ("model alone", "cost", "quality"), rows)


def scorer_table(study: Study) -> Table:
    """A row a scorer."""
    rows = []
    for name, held in study.scorers.items():
        error = held.calibration
        span = "" if error.interval is None else f" [{error.interval[0]:.3f}, {error.interval[1]:.3f}]"
        rows.append(
            (
                name,
                f"{held.n:,}",
                f"{100 * held.base_rate:.1f} %",
                *(area(one) for one in (held.auc, held.auc_confidence)),
                f"{held.brier:.3f}",
                f"{error.debiased:.3f}{span}",
            )
        )
    columns = ("scorer of", "n", "right", "AUC", "AUC of confidence alone", "Brier score", "calibration error")
    return Table("Scorers on items held out", columns, tuple(rows))


def area(one: tuple[float, tuple[float, float]] | None) -> str:
    """An area under the ROC curve: "0.79 [0.70, 0.88]"."""
    return MISSING if one is None else f"{one[0]:.2f} [{one[1][0]:.2f}, {one[1][1]:.2f}]"


def curve(study: Study) -> Scatter:
    """Quality against cost: the cascade's points joined, each model alone beside them."""
    dots = [(one.cost.value, one.quality, path(study, one), CURVE) for one in study.curve]
    dots += [(one.cost.value, one.quality, one.model, number + 1) for number, one in enumerate(study.alone)]
    costs = [cost for cost, *_ in dots]
    far = min(costs) > 0 and max(costs) / min(costs) >= FAR
    across = scale(costs, log=far)
    up = scale((100 * end for _, quality, *_ in dots for end in quality.interval), 0.0, 100.0)
    marks = tuple(
        Mark(
            x=across.at(cost),
            y=100 - up.at(100 * quality.value),
            tip=f"{name}: cost {cost:.3g}, {percent(quality)}",
            tone=tone,
            low=100 - up.at(100 * quality.interval[0]),
            high=100 - up.at(100 * quality.interval[1]),
            label=name if tone != CURVE else "",
            symbol="●" if tone == CURVE else "■",
            size=3.5,
        )
        for cost, quality, name, tone in dots
    )
    line = sorted((mark.x, mark.y) for mark in marks if mark.tone == CURVE)
    return Scatter(
        title="Quality against cost",
        note="The curve is the cascade's, at rising budgets; squares are the models alone.",
        x=Axis("cost an item" + (", logarithmic" if far else ""), across.ticks()),
        y=Axis("quality, percent", up.ticks()),
        marks=marks,
        segments=tuple(Segment(*one, *other, CURVE) for one, other in pairwise(line)),
        legend=((CURVE, "cascade"), *((number + 1, f"{one.model} alone") for number, one in enumerate(study.alone))),
        height=380,
    )


def reliability(study: Study) -> Scatter:
    """Share of right answers by score."""
    axis = scale((0.0, 1.0), 0.0, 1.0)
    marks = tuple(
        Mark(
            x=axis.at(score),
            y=100 - axis.at(right),
            tip=f"{name}: score {score:.2f}, {right:.0%} of {count:,} right",
            tone=number + 1,
            size=2.5 + 6 * (count / held.n) ** 0.5,
        )
        for number, (name, held) in enumerate(study.scorers.items())
        for score, right, count in held.bins
    )
    return Scatter(
        title="Share right by score",
        note="A point is a tenth of the scale, as large as it has items.",
        x=Axis("score", axis.ticks()),
        y=Axis("share right", axis.ticks()),
        marks=marks,
        segments=(Segment(0, 100, 100, 0),),
        legend=tuple((number + 1, name) for number, name in enumerate(study.scorers)),
    )
