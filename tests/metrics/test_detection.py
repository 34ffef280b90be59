"""Guards as classifiers, beside scikit-learn."""

from __future__ import annotations

import math
import random

import pytest

from evalkit.metrics import bias, detection
from evalkit.metrics.aggregate import aggregate
from evalkit.metrics.base import ScoringInput
from evalkit.metrics.finding import lookup


def _inputs(seed: int, ties: bool) -> list[ScoringInput]:
    draw = random.Random(seed)
    found = []
    for _ in range(60):
        label, score = draw.randrange(2), draw.random()
        score = round(score, 1) if ties else score
        score = min(max(score, 0.01), 0.99)
        lls = (math.log(1 - score), math.log(score))
        found.append(ScoringInput(target=label, choices=("safe", "unsafe"), loglikelihoods=lls))
    return found


@pytest.mark.parametrize("ties", [False, True])
def test_scikit_learn_has_the_same(ties: bool) -> None:
    from sklearn import metrics

    items = _inputs(3, ties)
    labels = [one.target for one in items]
    scores = [math.exp(one.loglikelihoods[1]) for one in items]
    said = [int(one.loglikelihoods[1] > one.loglikelihoods[0]) for one in items]
    pairs = [detection.auc_pr.per_item(one) for one in items]
    rounded = [(label, round(score, 9)) for label, score in pairs]
    assert detection.average_precision(rounded) == pytest.approx(metrics.average_precision_score(labels, scores))
    for name, peer in (
        ("precision", metrics.precision_score),
        ("recall", metrics.recall_score),
        ("f1", metrics.f1_score),
    ):
        metric = lookup(name, "multiple_choice")
        assert metric.joined.value([metric.per_item(one) for one in items]) == pytest.approx(peer(labels, said)), name


def test_written_verdicts() -> None:
    replies = [
        ("unsafe", "\n\nunsafe\nS9"),
        ("unsafe", "Safe."),
        ("safe", "safe"),
        ("safe", "I would not say."),
        ("safe", "unsafe"),
    ]
    items = [ScoringInput(target=target, text=text) for target, text in replies]
    assert [detection.written(one) for one in items] == ["unsafe", "safe", "safe", None, "unsafe"]
    for metric, value in (
        (detection.guard_precision, 1 / 2), (detection.guard_recall, 1 / 2), (detection.guard_f1, 1 / 2),
        (detection.guard_acc, 2 / 5), (detection.guard_read, 4 / 5),
    ):  # fmt: skip
        assert metric.joined.value([metric.per_item(one) for one in items]) == pytest.approx(value), metric.name


def test_without_a_positive_item_there_is_no_curve() -> None:
    assert math.isnan(detection.average_precision([(0.0, 0.5)]))
    assert aggregate(detection.auc_pr, [(0.0, 0.5), (0.0, 0.1)]).value is None
    assert aggregate(bias.pro_anti_gap, [(1.0, 1.0, 0.0, 0.0)]).value is None
