"""How far a grader agrees with people: balanced accuracy, area under the ROC curve, Cohen's kappa, each with an
interval over clusters (the sources); and a rate as people would see it, from their labels of a part.

The first and the last are functions of the four counts of the confusion table; their errors are the delete-one-cluster
jackknife's (`evalkit.statistics.corpus`), as is that of the area.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import UserError
from evalkit.contract.grading import SUPPORTED, Grader
from evalkit.judge.labelled import Item, Labelled
from evalkit.statistics.clusters import codes_of
from evalkit.statistics.corpus import corpus_estimate, items_estimate
from evalkit.statistics.inference import Inference, Range
from evalkit.statistics.prediction_powered import prediction_powered_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

SHARE_LABELLED = 0.2
FEWEST_LABELLED = 10
"""Of what part of the sources people's labels are taken to correct the rate, and how many at least."""
SEED = 1234


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its 95 % interval and standard error; None where it is not defined (only one label)."""

    value: float | None
    interval: Range | None
    stderr: float | None = None


@dataclass(frozen=True, slots=True)
class Corrected:
    """The share of supported texts, each source counting once: as the grader says (``judge``), as people say
    (``people``), and the grader's corrected by people's labels of ``labelled`` sources drawn at random.
    """

    judge: float
    people: float
    value: float
    interval: Range
    labelled: int
    unlabelled: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of one set: ``n`` items with a verdict in ``clusters`` sources, and ``no_verdict`` others."""

    name: str
    n: int
    clusters: int
    supported: int
    no_verdict: int
    left_out: Mapping[str, int]
    balanced_accuracy: Figure
    roc_auc: Figure
    kappa: Figure
    rate: Corrected | None


@dataclass(frozen=True, slots=True)
class Validation:
    """A grader on labelled sets; the means are over the sets, each counting once, as if they were independent."""

    grader: str
    sets: tuple[Agreement, ...]
    balanced_accuracy: Figure
    roc_auc: Figure
    kappa: Figure
    threshold: float = SUPPORTED
    kind: str = "validation"


def validate(grader: Grader, sets: Sequence[Labelled], limit: int | None = None) -> Validation:
    """Grade every item and compare with people. ``limit``: the first sources of each set. UserError where the grader
    gives no verdict at all.
    """
    found = []
    for one in sets:
        items = _first(one.items, limit)
        scores = list(grader.grade([item.claim for item in items]))
        if len(scores) != len(items):
            raise UserError(f"grader {grader.identity}: {len(scores)} verdicts for {len(items)} texts")
        found.append(agreement(one.name, list(zip(items, scores, strict=True)), one.left_out))
    return Validation(
        grader.identity,
        tuple(found),
        _mean([one.balanced_accuracy for one in found], (0.0, 1.0)),
        _mean([one.roc_auc for one in found], (0.0, 1.0)),
        _mean([one.kappa for one in found], (-1.0, 1.0)),
    )


def agreement(
    name: str, graded: Sequence[tuple[Item, float | None]], left_out: Mapping[str, int] | None = None
) -> Agreement:
    """The figures of items with their scores."""
    import numpy as np

    known = [(item, score) for item, score in graded if score is not None]
    if not known:
        raise UserError(f"labelled set {name}: the grader has no verdict on any of its {len(graded)} texts")
    labels = np.array([item.supported for item, _ in known])
    scores = np.array([score for _, score in known], float)
    codes = codes_of([item.cluster for item, _ in known])
    said = scores >= SUPPORTED
    table = np.stack([labels & said, labels & ~said, ~labels & said, ~labels & ~said], axis=1).astype(float)
    several = codes if len(set(codes.tolist())) < len(known) else None
    return Agreement(
        name=name,
        n=len(known),
        clusters=len(set(codes.tolist())),
        supported=int(labels.sum()),
        no_verdict=len(graded) - len(known),
        left_out=dict(left_out or {}),
        balanced_accuracy=_figure(table, several, balanced_accuracy, (0.0, 1.0)),
        roc_auc=_area(labels, scores, several),
        kappa=_figure(table, several, cohen_kappa, (-1.0, 1.0)),
        rate=_corrected(labels, said, codes),
    )


def balanced_accuracy(counts: Vector) -> float:
    """Of (true positives, false negatives, false positives, true negatives): the mean of the two recalls."""
    tp, fn, fp, tn = counts
    return float((tp / (tp + fn) + tn / (tn + fp)) / 2) if tp + fn and tn + fp else float("nan")


def cohen_kappa(counts: Vector) -> float:
    """Of the same counts: agreement beyond what the two rates of yes would give by chance (Cohen 1960)."""
    tp, fn, fp, tn = counts
    n = tp + fn + fp + tn
    chance = ((tp + fn) * (tp + fp) + (tn + fp) * (tn + fn)) / n**2 if n else 1.0
    return float(((tp + tn) / n - chance) / (1 - chance)) if chance < 1 else float("nan")


def roc_auc(labels: NDArray[np.bool_], scores: Vector) -> float:
    """The share of pairs, one supported and one not, whose supported one has the higher score; ties count half."""
    from scipy.stats import rankdata

    positive = int(labels.sum())
    negative = len(labels) - positive
    if not positive or not negative:
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[labels].sum() - positive * (positive + 1) / 2) / (positive * negative))


def _figure(table: Any, codes: Any, function: Any, bounds: Range) -> Figure:
    return figure_of(corpus_estimate(table, function, codes=codes, bounds=bounds))


def _area(labels: Any, scores: Any, codes: Any) -> Figure:
    return figure_of(
        items_estimate(len(labels), lambda rows: roc_auc(labels[rows], scores[rows]), codes=codes, bounds=(0.0, 1.0))
    )


def figure_of(found: Inference) -> Figure:
    """An estimate with its interval; without either where it is not defined."""
    if math.isnan(found.value):
        return Figure(None, None)
    span = found.interval()
    return Figure(found.value, None if span is None else (float(span[0]), float(span[1])), found.stderr)


def _mean(figures: Sequence[Figure], bounds: Range) -> Figure:
    """The mean of those that are defined, as if independent, its interval from theirs (MOVER: Zou and Donner 2008)."""
    known = [(one.value, one.interval) for one in figures if one.value is not None]
    if not known:
        return Figure(None, None)
    count = len(known)
    value = sum(one for one, _ in known) / count
    spans = [(one - span[0], span[1] - one) for one, span in known if span is not None]
    if len(spans) < count:
        return Figure(value, None)
    below, above = (math.sqrt(sum(side[part] ** 2 for side in spans)) / count for part in (0, 1))
    return Figure(value, (max(value - below, bounds[0]), min(value + above, bounds[1])))


def _first(items: Sequence[Item], limit: int | None) -> Sequence[Item]:
    if limit is None:
        return items
    kept = set(list(dict.fromkeys(item.cluster for item in items))[:limit])
    return [item for item in items if item.cluster in kept]


def _corrected(labels: Any, said: Any, codes: Any) -> Corrected | None:
    """Prediction-powered over the sources' own shares, a seeded draw of them labelled."""
    import numpy as np

    count = int(codes.max()) + 1
    sizes = np.bincount(codes, minlength=count)
    people = np.bincount(codes, labels, count) / sizes
    judge = np.bincount(codes, said, count) / sizes
    drawn = max(round(SHARE_LABELLED * count), FEWEST_LABELLED)
    if count - drawn < 2:
        return None
    order = random.Random(SEED).sample(range(count), count)
    chosen, rest = order[:drawn], order[drawn:]
    found = prediction_powered_mean(people[chosen].tolist(), judge[chosen].tolist(), judge[rest].tolist())
    return Corrected(
        judge=float(judge.mean()),
        people=float(people.mean()),
        value=found.value,
        interval=found.interval,
        labelled=found.labelled,
        unlabelled=found.unlabelled,
    )
