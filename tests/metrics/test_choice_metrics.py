"""Choice, score and rolling metrics against lm-eval's own code and hand-computed values."""

from __future__ import annotations

import math

import pytest

from evalkit.metrics import choice, continuation, rolling
from evalkit.metrics.base import ScoringInput


def sample(
    target: object, loglikelihoods: tuple[float, ...], choices: tuple[str, ...] = (), **more: object
) -> ScoringInput:
    return ScoringInput(target=target, loglikelihoods=loglikelihoods, choices=choices, **more)  # type: ignore[arg-type]


def test_ties_go_to_the_first_choice() -> None:
    assert choice.acc_sample(sample(0, (-1.0, -1.0))) == 1.0
    assert choice.acc_sample(sample(1, (-1.0, -1.0))) == 0.0


def test_several_gold_choices_accept_any() -> None:
    assert choice.acc_sample(sample([1, 2], (-3.0, -2.0, -1.0))) == 1.0
    assert choice.acc_sample(sample([0, 1], (-3.0, -2.0, -1.0))) == 0.0


def test_characters_and_bytes_normalise_differently() -> None:
    # -6 over 3 characters (6 bytes) against -3.5 over 2 characters (2 bytes).
    one = sample(0, (-6.0, -3.5), ("äöü", "ab"))
    assert choice.acc_norm_sample(one) == 0.0
    assert choice.acc_bytes_sample(one) == 1.0
    assert choice.acc_sample(one) == 0.0


def test_empty_choice_is_not_chosen() -> None:
    assert choice.acc_norm_sample(sample(1, (-1.0, -9.0), ("", "word"))) == 1.0


def test_exact_match_needs_a_greedy_gold() -> None:
    assert choice.exact_match_sample(sample(1, (-1.0, -2.0), is_greedy=(True, False))) == 0.0
    assert choice.exact_match_sample(sample([0, 1], (-1.0, -2.0), is_greedy=(True, False))) == 1.0


def test_mc2_is_probability_mass() -> None:
    lls = (math.log(0.1), math.log(0.3), math.log(0.2))
    assert choice.mc2_sample(sample([0, 2], lls)) == pytest.approx(0.5, abs=1e-12)


def test_mc2_survives_tiny_likelihoods() -> None:
    assert choice.mc2_sample(sample([0], (-2000.0, -2000.0))) == pytest.approx(0.5)


def test_brier() -> None:
    lls = (math.log(0.7), math.log(0.2), math.log(0.1))
    assert choice.brier_sample(sample(0, lls)) == pytest.approx(0.09 + 0.04 + 0.01)
    assert choice.brier_sample(sample([0, 1], lls)) is None


def test_score_metrics() -> None:
    one = sample("word", (-2.5,), is_greedy=(True,))
    assert continuation.acc_sample(one) == 1.0
    assert continuation.loglikelihood_sample(one) == -2.5


def test_rolling_counts_words_and_bytes_as_lm_eval() -> None:
    from lm_eval.api.task import Task

    for text in ("one two", " leading and trailing ", "naïve  café\n", "", "日本語 テキスト"):
        one = ScoringInput(loglikelihoods=(-7.0,), reference_text=text)
        assert rolling.by_words(one) == (-7.0, Task.count_words(text))
        assert rolling.by_bytes(one) == (-7.0, Task.count_bytes(text))


def test_mc2_equals_lm_eval() -> None:
    from lm_eval.tasks.truthfulqa.utils import process_results_mc2

    lls = (-3.2, -1.1, -7.5, -2.0)
    theirs = process_results_mc2({"mc2_targets": {"labels": [1, 0, 1, 1]}}, [(value, False) for value in lls])["acc"]
    assert choice.mc2_sample(sample([0, 2, 3], lls)) == pytest.approx(float(theirs), abs=1e-12)


def test_brier_equals_lm_eval() -> None:
    import numpy as np
    from lm_eval.api.metrics import brier_score
    from lm_eval.utils import softmax

    rows = [(0, (-1.0, -2.0, -3.0)), (2, (-0.5, -4.0, -0.4)), (1, (-9.0, -8.0, -7.0))]
    theirs = brier_score([(gold, softmax(np.array(lls))) for gold, lls in rows])
    ours = sum(choice.brier_sample(sample(gold, lls)) or 0.0 for gold, lls in rows) / len(rows)
    assert ours == pytest.approx(float(theirs), abs=1e-12)
