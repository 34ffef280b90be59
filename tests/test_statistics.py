"""The statistical instruments: against published numbers and libraries, and that tests and intervals agree."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, t, ttest_rel
from statsmodels.stats.proportion import proportion_confint

from evalkit.statistics.bounded import bounded_mean
from evalkit.statistics.calibration import calibration_error
from evalkit.statistics.choice import average_difference_for, average_for, difference_for, interval_for
from evalkit.statistics.clusters import cluster_mean
from evalkit.statistics.corpus import corpus_difference, corpus_estimate
from evalkit.statistics.inference import Inference, combined
from evalkit.statistics.prediction_powered import prediction_powered_mean
from evalkit.statistics.ranks import paired_covariance, rank_intervals, widest_gap
from evalkit.statistics.score import score_mean
from evalkit.statistics.sequential import design
from evalkit.statistics.shares import PairedShares, Share
from evalkit.statistics.strata import weighted_means


def ends(found: Inference, level: float = 0.95) -> tuple[float, float]:
    interval = found.interval(level)
    assert interval is not None
    return interval


def counts(gained: int, lost: int, n: int) -> np.ndarray:
    return np.array([1.0] * gained + [-1.0] * lost + [0.0] * (n - gained - lost))


# -- shares ------------------------------------------------------------------------------------------------------------


def test_tango_as_published() -> None:
    """Fagerland, Lydersen and Laake 2014 (Statistics in Medicine 33:2850), airway reactivity: -0.517 to -0.026."""
    assert ends(PairedShares(1, 7, 21)) == pytest.approx((-0.517, -0.026), abs=5e-4)


@pytest.mark.parametrize(("gained", "lost", "n"), [(1, 7, 21), (0, 3, 44), (40, 10, 1000), (5, 5, 10), (0, 0, 100)])
def test_score_is_tangos_for_paired_shares(gained: int, lost: int, n: int) -> None:
    tango, score = PairedShares(gained, lost, n), score_mean([counts(gained, lost, n)], [1.0], (-1.0, 1.0))
    assert ends(score) == pytest.approx(ends(tango), abs=1e-7)
    for null in (-0.2, -0.02, 0.0, 0.05):
        assert score.tails(null) == pytest.approx(tango.tails(null), abs=1e-7)


@pytest.mark.parametrize(("right", "n"), [(0, 5), (5, 5), (1, 20), (13, 20), (990, 1000)])
def test_score_is_wilsons_for_a_share(right: int, n: int) -> None:
    score = score_mean([np.array([1.0] * right + [0.0] * (n - right))], [1.0], (0.0, 1.0))
    assert ends(score) == pytest.approx(proportion_confint(right, n, method="wilson"), abs=1e-7)


def test_a_shares_interval_is_wilsons_and_no_shorter_than_mid_p() -> None:
    for right, n in [(1, 5), (3, 10), (50, 100)]:
        wilson, found = proportion_confint(right, n, method="wilson"), ends(Share(right, n))
        middle = ends(bounded_mean(np.array([1.0] * right + [0.0] * (n - right)), (0.0, 1.0), mid_p=True))
        assert found == pytest.approx((min(wilson[0], middle[0]), max(wilson[1], middle[1])), abs=2e-3)


# -- bounded means -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("right", "n"), [(0, 5), (5, 5), (1, 20), (13, 20), (3, 100), (990, 1000)])
def test_gaffke_is_clopper_pearson_for_a_share(right: int, n: int) -> None:
    found = ends(bounded_mean(np.array([1.0] * right + [0.0] * (n - right)), (0.0, 1.0)))
    low = beta.ppf(0.025, right, n - right + 1) if right else 0.0
    high = beta.ppf(0.975, right + 1, n - right) if right < n else 1.0
    assert found == pytest.approx((low, high), abs=2.5e-3)


def test_gaffke_is_the_quantile_of_random_weights() -> None:
    values = np.array([0.2, 0.9, 1.0, 1.0, 0.75, 0.0, 0.6, 1.0])
    weights = np.random.default_rng(1).dirichlet(np.ones(9), size=200_000)
    drawn = weights[:, :8] @ values
    expected = (np.quantile(drawn, 0.025), np.quantile(drawn + weights[:, 8], 0.975))
    assert ends(bounded_mean(values, (0.0, 1.0))) == pytest.approx(expected, abs=5e-3)


def test_the_order_of_items_does_not_matter() -> None:
    values = np.random.default_rng(2).random(50)
    assert ends(interval_for(values, bounds=(0, 1))) == ends(interval_for(values[::-1], bounds=(0, 1)))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), min_size=1, max_size=40),
    st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), min_size=1, max_size=40),
)
def test_intervals_of_samples_have_width_and_agree_with_their_tests(first: list[float], second: list[float]) -> None:
    n = min(len(first), len(second))
    for found in (interval_for(first, bounds=(0, 1)), difference_for(first[:n], second[:n], bounds=(0, 1))):
        low, high = ends(found)
        assert low - 1e-9 <= found.value <= high + 1e-9
        assert high - low > 1e-3
        for null in (low - 0.01, low + 0.01, high - 0.01, high + 0.01):
            if 0 < null < 1 and low + 0.01 < high - 0.01:
                assert (found.p_value(null) < 0.05) == (null < low or null > high)


def test_three_items_that_each_lost_a_tenth_are_no_certainty() -> None:
    found = difference_for([0.5, 0.6, 0.7], [0.4, 0.5, 0.6], bounds=(0.0, 1.0))
    assert found.p_value() > 0.05
    assert ends(found)[1] > 0


# -- clusters and strata -----------------------------------------------------------------------------------------------


def test_equal_clusters_are_a_t_test_of_their_means() -> None:
    generator = np.random.default_rng(3)
    shared = np.repeat(generator.normal(0, 1, 6), 5)
    values, codes = shared + generator.normal(0, 1, 30), np.repeat(np.arange(6), 5)
    means = values.reshape(6, 5).mean(axis=1)
    found = cluster_mean(values, codes)
    assert found.freedom == pytest.approx(5)
    assert math.sqrt(found.variance) == pytest.approx(means.std(ddof=1) / math.sqrt(6))


def test_cr2_and_its_degrees_of_freedom_by_their_matrices() -> None:
    """Pustejovsky and Tipton 2018, equations 4 and 8 to 11, with the projection matrices written out."""
    sizes = np.array([1, 2, 4, 9])
    codes, n = np.repeat(np.arange(4), sizes), 16
    values = np.random.default_rng(4).normal(0, 1, n) + codes
    found = cluster_mean(values, codes)
    same = codes[:, None] == codes[None, :]
    working = np.where(same, found.correlation, 0.0) + (1 - found.correlation) * np.eye(n)
    centre = np.eye(n) - 1 / n
    rows = np.array([(codes == g) / math.sqrt(1 - sizes[g] / n) for g in range(4)])
    inner = rows @ centre @ working @ centre @ rows.T
    assert found.freedom == pytest.approx(np.trace(inner) ** 2 / np.trace(inner @ inner))
    assert found.variance == pytest.approx(((rows @ (values - values.mean())) ** 2).sum() / n**2)


def test_clusters_that_agree_wholly_count_once_each() -> None:
    found = difference_for(np.ones(240), np.ones(240), binary=True, clusters=np.repeat(np.arange(24), 10).tolist())
    low, high = ends(found)
    assert low < -0.1
    assert high > 0.1
    assert found.p_value() == pytest.approx(1)


def test_one_cluster_says_nothing() -> None:
    found = difference_for([1.0, 0.0], [0.0, 0.0], binary=True, clusters=["a", "a"])
    assert found.interval() is None
    assert "one cluster" in found.reason


def test_a_group_at_a_hundred_percent_has_wilsons_interval_of_nearly_all_its_items() -> None:
    """Each task loses a part of one item to its own mean, 1 - 1/5 of it, and as many degrees of freedom."""
    found = average_for([np.ones(100)] * 5, binary=True)
    wide = t.ppf(0.975, 5 * 99.2) ** 2 * 100 / 99.2
    assert ends(found) == pytest.approx((1 / (1 + wide / 500), 1.0), abs=1e-6)


def test_a_group_of_few_items_is_no_shorter_than_one_unseen_item_makes_it() -> None:
    """Nothing wrong in 15 items, five a task: one unseen item, as in mid-p of all of them, is Beta(1, 5) of a third."""
    found = average_for([np.ones(5)] * 3, binary=True)
    exact = 1 - (1 - 0.05 ** (1 / 5)) / 3
    assert found.second.tails(exact)[1] == pytest.approx(0.025, rel=0.05)  # type: ignore[attr-defined]
    assert found.tails(exact)[1] >= 0.025


@pytest.mark.parametrize(
    ("sizes", "flips"), [((24, 24, 24), (2, 1, 0)), ((5, 8, 3), (2, 4, 1)), ((100, 6), (30, 0)), ((4,) * 6, (1,) * 6)]
)
def test_the_mid_p_of_several_tasks_is_that_of_random_weights(sizes: tuple[int, ...], flips: tuple[int, ...]) -> None:
    """The saddlepoint against draws of the weights themselves."""
    tasks = [np.array([1.0] * k + [0.0] * (n - k)) for n, k in zip(sizes, flips, strict=True)]
    weights = np.full(len(sizes), 1 / len(sizes))
    counts = np.array([side for n, k in zip(sizes, flips, strict=True) for side in (n - k, k)], dtype=float)
    strata, points = np.repeat(np.arange(len(sizes)), 2), np.tile([0.0, 1.0], len(sizes))
    seen = counts > 0
    found = weighted_means(points[seen], counts[seen], strata[seen], weights, (0.0, 1.0), sum(sizes))
    generator, draws = np.random.default_rng(1), np.zeros((2, 100_000))
    heavy = int(np.argmax(weights / np.array(sizes)))
    for place, values in enumerate(tasks):
        for side in (0, 1):
            kept = np.append(values, float(side)) if place == heavy else values
            shares = generator.dirichlet(np.ones(len(kept)), draws.shape[1])
            draws[side] += weights[place] * (shares @ kept)
    for null in np.quantile(draws, [0.025, 0.2, 0.5, 0.8, 0.975]):
        # A little on the safe side where tasks of four items are many.
        assert found.tails(null)[1] == pytest.approx((draws <= null).mean(), abs=0.03)


def test_one_task_is_its_own_average() -> None:
    base, candidate = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0], [1.0, 1.0, 0.0, 1.0, 0.0, 0.0]
    alone, average = (
        score_mean([np.array(candidate) - np.array(base)], [1.0], (-1.0, 1.0)),
        average_difference_for([base, base], [candidate, candidate], binary=True),
    )
    assert average.value == pytest.approx(alone.value)
    assert ends(average)[0] > ends(alone)[0]


def test_the_average_of_unbounded_tasks_has_satterthwaites_freedom() -> None:
    """Welch's test is the case of two strata with the weights 1 and -1."""
    from scipy.stats import ttest_ind

    generator = np.random.default_rng(5)
    a, b = generator.normal(0, 1, 8), generator.normal(0.5, 3, 20)
    found = combined([interval_for(a), interval_for(b)], [1.0, -1.0])
    welch = ttest_ind(a, b, equal_var=False)
    assert found.p_value() == pytest.approx(welch.pvalue)
    assert ends(found) == pytest.approx(tuple(welch.confidence_interval()))


def test_unbounded_differences_are_the_paired_t_test() -> None:
    generator = np.random.default_rng(6)
    a, b = generator.normal(0, 1, 12), generator.normal(0.5, 1, 12)
    assert difference_for(a, b).p_value() == pytest.approx(ttest_rel(b, a).pvalue)


def test_values_that_do_not_vary_and_have_no_bounds_are_not_judged() -> None:
    found = difference_for([2.0] * 10, [3.0] * 10)
    assert found.interval() is None
    assert found.p_value() == 1.0
    assert found.reason == "no variation between items"


# -- corpus metrics ----------------------------------------------------------------------------------------------------


def ratio(sums: np.ndarray) -> float:
    return float(sums[0] / sums[1])


def test_the_jackknife_of_a_mean_is_the_t_test() -> None:
    values = np.random.default_rng(7).normal(3, 1, 25)
    table = np.column_stack([values, np.ones(25)])
    found, plain = corpus_estimate(table, ratio), interval_for(values)
    assert found.value == pytest.approx(plain.value)
    assert found.stderr == pytest.approx(plain.stderr)
    assert ends(found)[0] <= ends(plain)[0] + 1e-12


def test_a_corpus_metric_of_few_items_has_no_interval() -> None:
    found = corpus_difference(np.ones((4, 2)), np.ones((4, 2)), ratio)
    assert found.interval() is None
    assert "at least 5 items" in found.reason


def test_a_corpus_metric_that_no_item_moves_is_judged_within_its_bounds() -> None:
    perfect, broken = np.column_stack([np.ones(20), np.ones(20)]), np.column_stack([np.zeros(20), np.ones(20)])
    same, lost = (corpus_difference(perfect, other, ratio, bounds=(0.0, 1.0)) for other in (perfect, broken))
    assert same.p_value() == pytest.approx(1)
    assert ends(same)[0] < -0.1
    assert ends(same)[1] > 0.1
    assert lost.p_value() < 0.001
    assert ends(lost)[1] < -0.5
    assert corpus_difference(perfect, broken, ratio).reason == "no variation between items"


def test_blocks_of_many_items_repeat() -> None:
    generator = np.random.default_rng(8)
    table = np.column_stack([generator.normal(3, 1, 3000), np.ones(3000)])
    first, second = corpus_estimate(table, ratio), corpus_estimate(table, ratio)
    assert ends(first) == ends(second)
    assert first.stderr == pytest.approx(table[:, 0].std(ddof=1) / math.sqrt(3000), rel=0.1)


# -- sequential, ranks, calibration, judges ----------------------------------------------------------------------------


def test_boundaries_as_published() -> None:
    """Five equal looks, one-sided 0.025, O'Brien-Fleming-like spending: 4.877, 3.357, 2.680, 2.290, 2.031 (Jennison and
    Turnbull, Group Sequential Methods, 2000; Lan and DeMets 1983).
    """
    found = [look.critical for look in design([0.2, 0.4, 0.6, 0.8, 1.0])]
    assert found == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], abs=6e-4)


def test_one_look_is_the_plain_test() -> None:
    (look,) = design([1.0])
    assert look.alpha == pytest.approx(0.025)
    assert look.level == pytest.approx(0.95)


@pytest.mark.parametrize("fractions", [[], [0.5, 0.5], [0.5, 1.1], [0.0, 1.0]])
def test_looks_that_make_no_sense(fractions: list[float]) -> None:
    with pytest.raises(ValueError, match="rise"):
        design(fractions)


def test_equal_rows_share_all_ranks_and_a_better_one_stands_out() -> None:
    generator = np.random.default_rng(9)
    table = (generator.random((6, 500)) < 0.7).astype(float)
    table[0] = generator.random(500) < 0.95
    found = rank_intervals(table.mean(axis=1), paired_covariance(table))
    assert (found.best[0], found.worst[0]) == (1, 1)
    assert set(found.best[1:]) == {2}
    assert set(found.worst[1:]) == {6}


def test_rows_without_errors_are_not_told_apart() -> None:
    found = rank_intervals(np.array([1.0, 2.0, 3.0]), np.zeros((3, 3)))
    assert found.best == (1, 1, 1)
    assert found.worst == (3, 3, 3)


def test_the_spread_of_equal_variants_is_noise() -> None:
    table = (np.random.default_rng(10).random((5, 300)) < 0.6).astype(float)
    plain, debiased, interval = widest_gap(table)
    assert debiased < plain
    assert interval is not None
    assert interval[0] == 0.0


def test_a_calibrated_model_is_not_called_miscalibrated() -> None:
    generator = np.random.default_rng(11)
    confidence = generator.uniform(0.25, 1.0, 2000)
    gaps = (generator.random(2000) < confidence) - confidence
    found = calibration_error(gaps, np.minimum((confidence * 15).astype(int), 14))
    assert found.debiased < found.plain
    assert found.interval is not None
    assert found.interval[0] < 0.01


def test_a_judge_that_errs_to_one_side_is_corrected() -> None:
    generator = np.random.default_rng(12)
    truth = (generator.random(3000) < 0.6).astype(float)
    judged = np.where(generator.random(3000) < 0.2, 1.0, truth)
    found = prediction_powered_mean(truth[:200].tolist(), judged[:200].tolist(), judged[200:].tolist())
    assert found.interval[0] < 0.6 < found.interval[1]
    assert found.judge > 0.65
    assert found.interval[1] - found.interval[0] < found.people_interval[1] - found.people_interval[0]


def test_a_judge_that_agreed_with_a_few_people_is_not_certain() -> None:
    found = prediction_powered_mean([1, 1, 0, 1, 1], [1, 1, 0, 1, 1], [1] * 90 + [0] * 10)
    assert found.interval[1] - found.interval[0] > 0.2
