"""Intervals and standard errors against lm-eval, scipy and textbook values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evalkit.statistics import intervals


def test_mean_stderr_equals_lm_eval() -> None:
    from lm_eval.api.metrics import mean_stderr

    values = [0.1, 0.7, 0.4, 0.4]
    assert intervals.mean_stderr(values) == mean_stderr(values)
    assert intervals.mean_stderr([1.0]) is None


def test_wilson() -> None:
    # Newcombe 1998, table I: 81 of 263.
    assert intervals.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert intervals.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert intervals.wilson(20, 20)[1] == 1.0


def test_t_interval_equals_scipy() -> None:
    from scipy import stats as scipy_stats

    values = np.array([1.0, 2.0, 4.0, 8.0])
    stderr = intervals.mean_stderr(values.tolist())
    expected = scipy_stats.ttest_1samp(values, 0).confidence_interval()
    assert intervals.t_interval(float(values.mean()), stderr, 4) == pytest.approx((expected.low, expected.high))
    assert intervals.t_interval(1.0, None, 1) is None


def test_ratio_of_constant_weights_is_the_mean() -> None:
    values = [1.0, 3.0, 4.0]
    expected = intervals.mean_stderr(values)
    assert expected is not None
    assert intervals.ratio_stderr(values, [2.0, 2.0, 2.0]) == pytest.approx(expected / 2)
    assert intervals.ratio_stderr([1.0], [1.0]) is None
    assert intervals.ratio_stderr([1.0, 2.0], [0.0, 0.0]) is None


def test_bootstrap_is_seeded_and_near_the_formula() -> None:
    values = np.random.default_rng(0).normal(size=400)
    first = intervals.bootstrap_interval(lambda index: float(values[index].mean()), 400, seed=1)
    again = intervals.bootstrap_interval(lambda index: float(values[index].mean()), 400, seed=1)
    other = intervals.bootstrap_interval(lambda index: float(values[index].mean()), 400, seed=2)
    assert first == again != other
    assert first is not None
    assert first[0] == pytest.approx(intervals.mean_stderr(values.tolist()), rel=0.1)
    assert intervals.bootstrap_interval(lambda index: 0.0, 1, seed=1) is None


def test_group_errors_equal_lm_eval() -> None:
    from lm_eval.api.metrics import pooled_sample_stderr, unweighted_mean_stderr

    stderrs, sizes = [0.05, 0.02, 0.1], [100, 400, 20]
    assert intervals.pooled_stderr(stderrs, sizes) == pytest.approx(float(pooled_sample_stderr(stderrs, sizes)))
    assert intervals.macro_stderr(stderrs) == pytest.approx(float(unweighted_mean_stderr(stderrs)))
    assert intervals.pooled_stderr([0.0], [1]) is None
    assert intervals.macro_stderr([]) is None
    assert intervals.macro_stderr([0.3]) == pytest.approx(math.sqrt(0.09))


def test_an_interval_is_cut_at_the_bounds_that_are_known() -> None:
    assert intervals.within((-0.1, 1.2), (0.0, 1.0)) == (0.0, 1.0)
    assert intervals.within((-0.1, 1.2), (0.0, None)) == (0.0, 1.2)
    assert intervals.within((-0.1, 1.2), (None, 1.0)) == (-0.1, 1.0)
    assert intervals.within((-0.1, 1.2), None) == (-0.1, 1.2)
    assert intervals.within(None, (0.0, 1.0)) is None
