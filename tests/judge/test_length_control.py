"""AlpacaEval's length-controlled win rate, and two answers graded side by side."""

from __future__ import annotations

import math
import random

import pytest

from evalkit.contract.types import Response
from evalkit.judge.length_control import Preferred, length_controlled
from evalkit.judge.pair_scores import relative_score, two_grades
from evalkit.judge.reading import Unread


def chance(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def drawn(quality: float, mean: int, seed: int, hard: list[float], ties: bool = False) -> list[Preferred]:
    rng = random.Random(seed)
    rows = []
    for number, gamma in enumerate(hard):
        longer = int(rng.gauss(mean, 300))
        won = float(rng.random() < chance(quality + 1.2 * math.tanh(longer / 400) + gamma))
        rows.append(Preferred(str(number), 0.5 if ties and number % 9 == 0 else won, longer))
    return rows


def test_one_model_is_scikit_learns_intercept() -> None:
    np = pytest.importorskip("numpy")
    linear_model = pytest.importorskip("sklearn.linear_model")
    rows = drawn(0.4, 300, 1, [0.0] * 200, ties=True)
    longer = np.array([one.longer for one in rows], dtype=float)
    # Labels between 0 and 1: each row once as won and once as lost, by its weight, as AlpacaEval's package fits them.
    x = np.tanh(longer / longer.std())[:, None]
    points = np.array([one.points for one in rows])
    fit = linear_model.LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(
        np.vstack([x, x]), np.repeat([1, 0], len(rows)), sample_weight=np.concatenate([points, 1 - points])
    )
    found = length_controlled({"m": rows})["m"]
    assert found is not None
    assert found.rate == pytest.approx(chance(float(fit.intercept_[0])), abs=1e-5)
    assert found.length == pytest.approx(float(fit.coef_[0][0]), abs=1e-4)
    assert (found.difficulty, found.raw, found.n) == (0.0, pytest.approx(points.mean()), 200)


def test_a_shared_difficulty_is_told_from_quality() -> None:
    rng = random.Random(4)
    hard = [rng.gauss(0, 1.5) for _ in range(150)]
    truth = {"a": (0.8, -400), "b": (0.0, 0), "c": (-0.5, 500), "d": (0.3, 200)}
    found = length_controlled({name: drawn(*given, seed, hard) for seed, (name, given) in enumerate(truth.items())})
    for name, (quality, _) in truth.items():
        one = found[name]
        assert one is not None
        assert one.difficulty > 0.5
        assert one.interval is not None
        assert one.interval[0] < sum(chance(quality + gamma) for gamma in hard) / len(hard) < one.interval[1]
    assert found["a"] is not None
    assert found["c"] is not None
    assert found["a"].raw < found["a"].rate  # short answers are given their due
    assert found["c"].raw > found["c"].rate


def test_what_cannot_be_told_is_not() -> None:
    alike = [Preferred(str(n), 1.0, n) for n in range(9)]
    apart = [Preferred(str(n), float(n > 4), 1000 * (n - 4)) for n in range(9)]
    few = [Preferred("1", 1.0, 3), Preferred("2", 0.0, 4)]
    assert length_controlled({"alike": alike, "apart": apart}) == {"alike": None, "apart": None}
    assert length_controlled({"few": few})["few"] is None


@pytest.mark.parametrize(
    ("reply", "grades"),
    [
        ("8 6", (8, 6)),
        ("7.5, 9", (7.5, 9)),
        ("8/10 6/10\nBecause of 1 and 2.", (8, 6)),
        ("<think>1 1</think>10 1", (10, 1)),
        ("A: 7\nB: 8", (7, 8)),
        ("The grades are 8 and 6.", Unread.MISSING),
        ("8", Unread.MISSING),
        ("11 5", Unread.RANGE),
        ("0 5", Unread.RANGE),
        ("", Unread.MISSING),
    ],
)
def test_two_grades_are_read(reply: str, grades: object) -> None:
    assert two_grades(Response(text=reply, finish="stop")) == grades
    assert two_grades(Response(status="error", error="gone")) == Unread.FAILED
    assert two_grades(Response(text="Well", finish="length")) == Unread.CUT


def test_a_relative_score_has_an_interval_over_prompts() -> None:
    grades = [(8.0, 6.0), (7.0, 7.0), (9.0, 5.0), (6.0, 6.0)] * 4
    value, interval = relative_score(grades, [str(n) for n in range(16)])
    assert value == pytest.approx(30 / 24)
    assert interval is not None
    assert interval[0] < 1.25 < interval[1]
    _, wider = relative_score(grades, [str(n // 4) for n in range(16)])
    assert wider is None or wider != interval
    assert relative_score([], []) == (None, None)
