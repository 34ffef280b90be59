"""F1, Matthews' correlation, Pearson and Spearman: scikit-learn's and scipy's numbers, with an interval and a test."""

from __future__ import annotations

import random
import warnings

import pytest

from evalkit.contract.errors import UserError
from evalkit.metrics import classification
from evalkit.metrics.aggregate import aggregate
from evalkit.metrics.base import Metric, ScoringInput
from evalkit.metrics.finding import combine_of, fits, lookup


def predictions(classes: int, n: int, seed: int, skill: float = 0.6) -> tuple[list[int], list[int]]:
    """Classes of unequal size, and predictions that are right now and then."""
    rng = random.Random(seed)
    gold = [min(int(rng.random() ** 2 * classes), classes - 1) for _ in range(n)]
    return gold, [one if rng.random() < skill else rng.randrange(classes) for one in gold]


def items_of(gold: list[int], predicted: list[int], classes: int, **args: object) -> list[ScoringInput]:
    return [
        ScoringInput(
            target=one,
            choices=tuple("abcdefgh"[:classes]),
            loglikelihoods=tuple(-0.5 if place == said else -2.0 - place for place in range(classes)),
            args=args,
        )
        for one, said in zip(gold, predicted, strict=True)
    ]


def value_of(metric: Metric, samples: list[ScoringInput]) -> float | None:
    return aggregate(metric, [metric.per_item(one) for one in samples]).value


@pytest.mark.parametrize(("classes", "n", "seed"), [(2, 200, 1), (2, 7, 2), (3, 150, 3), (8, 40, 4)])
def test_scikit_learn_gives_the_same(classes: int, n: int, seed: int) -> None:
    from sklearn.metrics import f1_score, matthews_corrcoef

    gold, predicted = predictions(classes, n, seed)
    samples = items_of(gold, predicted, classes)
    assert value_of(lookup("mcc", "choice"), samples) == pytest.approx(matthews_corrcoef(gold, predicted), abs=1e-12)
    assert value_of(lookup("f1_macro", "choice"), samples) == pytest.approx(
        f1_score(gold, predicted, average="macro"), abs=1e-12
    )
    for positive in range(2):
        one = items_of(gold, predicted, classes, positive=positive)
        expected = f1_score([g == positive for g in gold], [p == positive for p in predicted])
        assert value_of(lookup("f1", "multiple_choice"), one) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("gold", "predicted"),
    [([0, 0, 0], [0, 0, 0]), ([1, 1], [1, 1]), ([0, 1, 0], [0, 0, 0]), ([0, 0], [1, 1]), ([1], [1])],
)
def test_degenerate_tables_are_scikit_learns(gold: list[int], predicted: list[int]) -> None:
    from sklearn.metrics import f1_score, matthews_corrcoef

    samples = items_of(gold, predicted, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert value_of(classification.mcc, samples) == matthews_corrcoef(gold, predicted)
        assert value_of(classification.f1, samples) == f1_score(gold, predicted, zero_division=0.0)


def test_a_document_with_several_right_classes_takes_the_predicted_one() -> None:
    sample = ScoringInput(target=[2, 0], choices=("a", "b", "c"), loglikelihoods=(-1.0, -2.0, -3.0))
    assert classification.classes(sample) == (0.0, 0.0)
    sample = ScoringInput(target=[2, 0], choices=("a", "b", "c"), loglikelihoods=(-2.0, -1.0, -3.0))
    assert classification.classes(sample) == (2.0, 1.0)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_scipy_gives_the_same(offset: float) -> None:
    from scipy.stats import pearsonr, spearmanr

    rng = random.Random(5)
    gold = [round(rng.uniform(0, 5), 1) for _ in range(120)]
    said = [round(one + rng.gauss(0, 1), 1) for one in gold]
    samples = [
        ScoringInput(target=str(g + offset), text=f"Grade: {s + offset}") for g, s in zip(gold, said, strict=True)
    ]
    moved = [g + offset for g in gold], [s + offset for s in said]
    assert value_of(lookup("pearson", "generate"), samples) == pytest.approx(pearsonr(*moved).statistic, abs=1e-12)
    assert value_of(lookup("spearman", "text"), samples) == pytest.approx(spearmanr(*moved).statistic, abs=1e-12)


def test_grades_are_read_from_choices_and_texts() -> None:
    sample = ScoringInput(target=2, choices=("0", "2.5", "5"), loglikelihoods=(-3.0, -1.0, -2.0))
    assert classification.grades(sample) == (5.0, 2.5)
    assert classification.grades(ScoringInput(target=3.75, text=" -2e-1 of 5")) == (3.75, -0.2)
    assert classification.grades(ScoringInput(target="4", text="none")) is None


def test_constant_answers_have_no_correlation() -> None:
    samples = [ScoringInput(target=str(grade), text="3") for grade in range(5)]
    assert value_of(classification.pearson, samples) is None
    assert value_of(classification.spearman, samples) is None


@pytest.mark.parametrize("name", ["f1", "f1_macro", "mcc", "pearson", "spearman"])
def test_intervals_and_aggregators_are_there(name: str) -> None:
    metric = lookup(name, "choice")
    gold, predicted = predictions(2, 80, 6)
    samples = items_of(gold, predicted, 2)
    if name in ("pearson", "spearman"):
        samples = [
            ScoringInput(target=one.target, choices=("1", "2"), loglikelihoods=one.loglikelihoods) for one in samples
        ]
    result = aggregate(metric, [metric.per_item(one) for one in samples])
    assert result.value is not None
    assert result.interval is not None
    assert result.interval[0] < result.value < result.interval[1]
    values = [value for one in samples if (value := metric.per_item(one)) is not None]
    assert combine_of(result.aggregator).value(values) == result.value
    assert fits(name, "multiple_choice")


def test_a_positive_class_is_an_index() -> None:
    assert classification.f1.prepare is not None
    with pytest.raises(UserError, match="positive is 'yes'; give the index"):
        classification.f1.prepare({"positive": "yes"})
