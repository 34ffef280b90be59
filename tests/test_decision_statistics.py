"""Corrections, margins, log odds and joint levels: what decisions are made of, by hand and against peers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests

from evalkit.statistics.choice import difference_for
from evalkit.statistics.corpus import corpus_estimate
from evalkit.statistics.inference import Shifted
from evalkit.statistics.margins import detectable, items_needed, margin_enough, shown_at
from evalkit.statistics.multiple import holm
from evalkit.statistics.ranks import joint_alpha, paired_covariance, rank_intervals, ranks_of_pairs

P_VALUES = st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=12)


@settings(deadline=None)
@given(P_VALUES)
def test_holm_is_statsmodels_and_its_levels_agree_with_it(p_values: list[float]) -> None:
    found = holm(p_values)
    rejected, adjusted, *_ = multipletests(p_values, 0.05, method="holm")
    assert [one.p_value for one in found] == pytest.approx(list(adjusted))
    for p_value, one, no in zip(p_values, found, rejected, strict=True):
        assert (p_value < one.alpha) == bool(no) or math.isclose(one.p_value, 0.05)
        assert 0.05 / len(p_values) - 1e-12 <= one.alpha <= 0.05


@settings(deadline=None)
@example(0, 0, 5e-324)  # the least number there is
@given(st.integers(0, 30), st.integers(0, 30), st.floats(0.0, 0.2))
def test_a_mirrored_difference_says_the_same_of_the_other_side(gained: int, lost: int, margin: float) -> None:
    base = [0.0] * gained + [1.0] * (100 - gained)
    other = [1.0] * gained + [0.0] * lost + [1.0] * (100 - gained - lost)
    there, back = difference_for(base, other, binary=True), difference_for(other, base, binary=True)
    turned = Shifted(back, 0.0, -1.0)
    assert turned.value == there.value
    assert turned.p_value(-margin, "greater") == pytest.approx(there.p_value(-margin, "greater"), abs=1e-7)
    assert turned.interval() == pytest.approx(there.interval(), abs=1e-6)
    for any_loss in (False, True):
        assert shown_at(turned, margin, 0.025, any_loss=any_loss) == shown_at(there, margin, 0.025, any_loss=any_loss)


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.005, 0.1))
def test_what_a_margin_shows_is_where_the_interval_ends(gained: int, lost: int, margin: float) -> None:
    base = [0.0] * gained + [1.0] * (400 - gained)
    other = [1.0] * gained + [0.0] * lost + [1.0] * (400 - gained - lost)
    found = difference_for(base, other, binary=True)
    low, high = found.interval() or (-1.0, 1.0)
    if min(abs(low + margin), abs(high + margin)) > 1e-6:
        expected = "pass" if low > -margin else "regression" if high < -margin else None
        assert shown_at(found, margin, 0.025) == expected


def test_items_needed_and_detectable_by_hand() -> None:
    z, power = norm.isf(0.025), norm.ppf(0.8)
    assert detectable((-0.02, 0.04)) == pytest.approx(0.03 * (1 + power / z))
    assert detectable(None) is None
    # 0.5 of standard deviation an item: 400 items gave 0.025.
    assert items_needed(0.025, 400, 0.0, 0.02) == math.ceil(((z + power) * 0.5 / 0.02) ** 2)
    # Where no item flipped, the variance is that under the null at the margin.
    assert items_needed(0.0, 50, 0.0, 0.02, width=1.0) == math.ceil((z * math.sqrt(0.02 * 0.98) / 0.02) ** 2)
    assert items_needed(0.025, 400, -0.02, 0.02) is None  # a loss of the very margin
    assert margin_enough(0.025, 400, 0.0, 400) == pytest.approx((z + power) * 0.025)


def test_items_needed_do_tell_with_the_power_that_was_asked_for() -> None:
    needed = items_needed(math.sqrt(0.1 / 200), 200, 0.0, 0.03, width=1.0)
    assert needed is not None
    generator, shown = np.random.default_rng(1), 0
    for gained, lost, _ in generator.multinomial(needed, [0.05, 0.05, 0.9], size=300):
        base = [0.0] * gained + [1.0] * (needed - gained)
        other = [1.0] * gained + [0.0] * lost + [1.0] * (needed - gained - lost)
        shown += shown_at(difference_for(base, other, binary=True), 0.03, 0.025) == "pass"
    assert 0.72 < shown / 300 < 0.9


def test_a_bounded_corpus_metric_keeps_within_its_bounds_and_agrees_with_its_test() -> None:
    generator = np.random.default_rng(2)
    rows = np.column_stack([generator.binomial(5, 0.8, 12), np.full(12, 5)]).astype(float)
    found = corpus_estimate(rows, lambda sums: float(sums[0] / sums[1]), bounds=(0.0, 1.0))
    low, high = found.interval() or (0.0, 0.0)
    assert 0 < low < found.value < high < 1
    assert found.value - low > high - found.value
    assert found.p_value(low) == pytest.approx(0.05, abs=1e-6)
    assert found.p_value(high, "less") == pytest.approx(0.025, abs=1e-6)
    assert (found.tails(0.0), found.tails(1.0)) == ((1.0, 0.0), (0.0, 1.0))
    assert found.method.startswith("jackknife-log-odds-t")


def test_the_joint_level_of_two_rows_is_plain_and_of_more_the_joint_intervals() -> None:
    table = (np.random.default_rng(3).random((6, 400)) < 0.6).astype(float)
    covariance = paired_covariance(table)
    assert joint_alpha(covariance[:2, :2]) == pytest.approx(0.05)
    alpha = joint_alpha(covariance)
    assert norm.isf(alpha / 2) == pytest.approx(rank_intervals(table.mean(axis=1), covariance).critical)
    assert alpha < 0.05 / 5


def test_ranks_of_pairs_count_the_rows_that_are_surely_better_and_worse() -> None:
    gaps = np.array([[0.0, 2.0, 3.0], [-2.0, 0.0, 1.0], [-3.0, -1.0, 0.0]])
    p_values = np.array([[1.0, 0.2, 0.001], [0.2, 1.0, 0.3], [0.001, 0.3, 1.0]])
    found = ranks_of_pairs(gaps, p_values, 0.01)
    assert (found.best, found.worst) == ((1, 1, 2), (2, 3, 3))
