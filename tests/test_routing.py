"""Cascades with a learned scorer, on answers whose best policy is known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from evalkit.backends import answer_scorer
from evalkit.backends.answer_scorer import Answered, Scorer
from evalkit.contract.errors import UserError
from evalkit.routing.study import Items, Study, study
from evalkit.statistics.routing import Policy, Table, best_within, cheapest_as_good, front, route, tried

pytest.importorskip("sklearn")

DEAR = 0.9
"""How often the dear model is right, whatever the item; the cheap one is right with the probability that its confidence
says, which is even over 0 to 1. It costs 1, the dear one 10."""


def simulated(n: int, seed: int) -> Items:
    draw = np.random.default_rng(seed)
    sure = draw.uniform(0.001, 0.999, n)
    right = np.stack([draw.uniform(size=n) < sure, draw.uniform(size=n) < DEAR], axis=1).astype(float)
    odds = np.log(sure / (1 - sure))
    words = [f"question {number} about {draw.integers(50)}" for number in range(n)]
    cheap = [Answered(text, "yes", (float(odds[i]), 0.0, 0.0, 1.0)) for i, text in enumerate(words)]
    dear = [Answered(text, "no", (0.0, 0.0, 0.0, 1.0)) for text in words]
    cost = np.tile([1.0, 10.0], (n, 1))
    return items_of({"cheap": cheap, "dear": dear}, right, cost)


def items_of(answers: dict[str, list[Answered]], quality: np.ndarray, cost: np.ndarray) -> Items:
    n = len(quality)
    keys = tuple(("simulated", str(number)) for number in range(n))
    return Items(tuple(answers), keys, answers, quality, cost, np.zeros_like(cost))


def optimum(budget: float) -> float:
    """The best accuracy at a mean cost: the cheap answer is taken where its confidence is at least t, the mean cost is
    1 + 10 t, the accuracy (1 - t^2) / 2 + t * DEAR, which rises until t = DEAR.
    """
    t = min((budget - 1) / 10, DEAR)
    return (1 - t**2) / 2 + t * DEAR


@pytest.fixture(scope="module")
def found() -> Study:
    return study(simulated(1000, 7), budgets=(3.0, 6.0))


def test_the_curve_is_the_known_optimum_within_its_interval(found: Study) -> None:
    assert len(found.curve) >= 8
    # Twelve 95 % intervals that are to hold at once: Bonferroni's width, as a multiple of each one's own.
    wider = norm.ppf(1 - 0.025 / len(found.curve)) / norm.ppf(0.975)
    for point in found.curve:
        low, high = (point.quality.value + wider * (end - point.quality.value) for end in point.quality.interval)
        if len(point.policy.order) > 1:  # the optimum at what the policy was seen to cost
            assert low <= optimum(point.cost.interval[1]), point
            assert high >= optimum(point.cost.interval[0]), point
            assert point.trained_cost <= point.budget


def test_the_best_alone_is_beaten_where_the_optimum_beats_it(found: Study) -> None:
    assert found.best == "dear"
    most = max(found.curve, key=lambda point: point.trained_quality)
    assert most.gain.interval[0] > -0.02
    assert abs(most.quality.value - optimum(most.cost.value)) < 0.03
    assert found.matched is not None
    assert found.matched.trained_quality >= DEAR - 0.05
    assert found.matched.gain.interval[1] > -0.02
    assert found.saving is not None
    assert found.saving.value == pytest.approx(1 - found.matched.cost.value / 10, abs=1e-9)


def test_scores_are_probabilities_on_items_that_were_held_out(found: Study) -> None:
    held = found.scorers["cheap"]
    assert held.n == found.n_test == 500
    assert held.calibration.interval is not None
    assert held.calibration.interval[0] < 0.01
    # Uniform confidence: the area is that of ranks whose right ones have the density 2p and wrong ones 2(1 - p): 5/6.
    assert held.auc is not None
    assert held.auc[1][0] < 5 / 6 < held.auc[1][1]
    assert found.scorers["dear"].brier == pytest.approx(DEAR * (1 - DEAR), abs=0.02)


def test_a_scorer_is_a_file_of_numbers(found: Study, tmp_path: Path) -> None:
    file = tmp_path / "scorer.json"
    file.write_text(found.scorer.model_dump_json(), "utf-8")
    again = answer_scorer.read(file)
    assert again == found.scorer
    assert again.identity == found.scorer.identity
    items = simulated(50, 3)
    assert np.array_equal(
        again.of("cheap").scores(items.answers["cheap"]), found.scorer.of("cheap").scores(items.answers["cheap"])
    )
    with pytest.raises(UserError, match="knows no model 'other'"):
        again.of("other")


@pytest.mark.parametrize("text", ["[]", "{", '{"stages": [{"model": "x"}]}', "\udc80"])
def test_what_is_no_scorer_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "scorer.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError) as caught:
        answer_scorer.read(file)
    assert "scorer.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_of_another_shape_are_refused(found: Study, tmp_path: Path) -> None:
    whole = found.scorer.of("cheap")
    file = tmp_path / "scorer.json"
    for broken in ({"facts": (1.0,)}, {"scale": (0.0,) * 4}, {"words": {answer_scorer.BUCKETS: 1.0}}):
        file.write_text(Scorer(stages=(whole.model_copy(update=broken),)).model_dump_json(), "utf-8")
        with pytest.raises(UserError, match="another shape"):
            answer_scorer.read(file)


def test_words_are_learnt_where_they_tell_more_than_the_numbers() -> None:
    n = 400
    draw = np.random.default_rng(5)
    easy = draw.uniform(size=n) < 0.5
    texts = [f"is the {'small' if one else 'large'} thing {draw.integers(9)}" for one in easy]
    flat = [Answered(text, "yes", (0.0, 0.0, 0.0, 0.0)) for text in texts]
    quality = np.stack([easy.astype(float), np.ones(n)], axis=1)
    found = study(items_of({"a": flat, "b": flat}, quality, np.tile([1.0, 5.0], (n, 1))))
    assert (found.scorers["a"].auc or (0.0,))[0] > 0.99
    assert found.matched is not None
    assert found.matched.quality.value > 0.99
    assert found.matched.cost.value == pytest.approx(1 + 5 * (1 - easy.mean()), abs=0.4)


def test_a_model_that_is_never_right_is_not_known_to_be_so() -> None:
    items = simulated(200, 3)
    quality = items.quality.copy()
    quality[:, 1] = 0.0
    made = study(items_of(dict(items.answers), quality, items.cost))
    (never,) = [one for one in made.alone if one.quality.value == 0.0]
    assert never.quality.interval[0] == 0.0
    assert 0.01 < never.quality.interval[1] < 0.06


def test_policies_by_hand() -> None:
    table = Table(
        np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]),
        np.array([[1.0, 4.0]] * 4),
        np.array([[0.9, 0.5], [0.2, 0.5], [0.8, 0.5], [0.1, 0.5]]),
        np.zeros((4, 2)),
    )
    done = route(table, Policy((0, 1), (0.8,)))
    assert done.quality.tolist() == [1, 1, 1, 1]
    assert done.cost.tolist() == [1, 5, 1, 5]
    assert done.stage.tolist() == [0, 1, 0, 1]
    policies = tried(table)
    for one in policies:
        assert route(table, one.policy).quality.mean() == pytest.approx(one.quality)
        assert route(table, one.policy).cost.mean() == pytest.approx(one.cost)
    assert best_within(policies, 0.5) is None
    best = best_within(policies, 3.0)
    assert best is not None
    assert (best.policy, best.quality, best.cost) == (Policy((0, 1), (0.8,)), 1.0, 3.0)
    matched = cheapest_as_good(policies, 0.75)
    assert matched is not None
    assert matched.cost == pytest.approx(2.0)
    costs = [one.cost for one in front(policies)]
    assert costs == sorted(costs)


def test_what_deciding_costs_is_paid_by_all_models_but_the_last() -> None:
    draw = np.random.default_rng(2)
    table = Table(*(draw.uniform(size=(20, 3)) for _ in range(4)))
    for one in tried(table, steps=4)[::5]:
        done = route(table, one.policy)
        assert done.cost.mean() == pytest.approx(one.cost)
    both = route(table, Policy((0, 1), (2.0,)))
    assert both.cost == pytest.approx(table.cost[:, 0] + table.deciding[:, 0] + table.cost[:, 1])


def test_three_models_are_walked_as_one_by_one() -> None:
    draw = np.random.default_rng(2)
    table = Table(*(draw.uniform(size=(30, 3)) for _ in range(4)))
    three = [one for one in tried(table, steps=5) if len(one.policy.order) == 3]
    assert len(three) > 100
    for one in three[::7]:
        done = route(table, one.policy)
        assert done.quality.mean() == pytest.approx(one.quality)
        assert done.cost.mean() == pytest.approx(one.cost)


def test_too_few_answers_are_told() -> None:
    with pytest.raises(UserError, match=r"cheap: 5 labelled answers are too few"):
        study(simulated(10, 1))


def test_failed_answers_are_never_taken() -> None:
    items = simulated(200, 4)
    failed = [Answered(failed=True) if i % 2 else one for i, one in enumerate(items.answers["cheap"])]
    scorer = study(items).scorer.of("cheap")
    assert math.isclose(float(scorer.scores(failed)[1::2].max()), 0.0)
    assert len(scorer.scores([])) == 0
