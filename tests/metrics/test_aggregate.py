"""Aggregation: values and errors against lm-eval, intervals against scipy and statsmodels, signatures."""

from __future__ import annotations

import math

import pytest

from evalkit.contract.errors import UserError
from evalkit.contract.types import Group, TaskInfo, TaskResult
from evalkit.metrics import bias, choice, combine, continuation, qa, rolling, rouge
from evalkit.metrics.aggregate import aggregate
from evalkit.metrics.finding import lookup
from evalkit.probes import selfcheck
from evalkit.statistics.choice import interval_for
from evalkit.task.groups import summarize_groups


def test_accuracy() -> None:
    from lm_eval.api.metrics import mean, mean_stderr

    values = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0]
    metric = aggregate(choice.acc, values, baseline=0.25, primary=True)
    assert metric.value == mean(values)
    assert metric.stderr == mean_stderr(values)
    assert metric.n == 7
    wilson = (0.358934, 0.917780)  # R: prop.test(5, 7, correct=FALSE)
    assert metric.interval is not None
    assert metric.interval[0] <= wilson[0] < wilson[1] <= metric.interval[1]
    assert metric.interval == interval_for(values, binary=True).interval()
    assert metric.signature == "acc|agg:mean|ci:wilson-midp|n:7|v:evalkit-0.1.0"
    assert (metric.unit, metric.bounds, metric.aggregator, metric.level) == ("share", (0.0, 1.0), "mean", "item")
    assert (metric.key, metric.baseline, metric.primary, metric.higher_is_better) == ("acc,none", 0.25, True, True)


def test_a_proportion_of_all_or_nothing_has_an_interval() -> None:
    metric = aggregate(choice.acc, [1.0] * 10)
    assert metric.interval is not None
    assert metric.interval[1] == 1.0
    assert 0.6 < metric.interval[0] < 0.8
    assert metric.stderr == 0.0


def test_continuous_mean_has_students_interval() -> None:
    metric = aggregate(bias.likelihood_diff, [0.2, 0.4, 0.9], name="diff")
    # mean 0.5, s 0.360555, t(2) 4.302653
    half = 4.302653 * 0.360555 / math.sqrt(3)
    assert metric.interval == pytest.approx((0.5 - half, 0.5 + half), abs=1e-5)
    assert metric.signature == "diff|metric:likelihood_diff|agg:mean|ci:t|n:3|v:evalkit-0.1.0"


@pytest.mark.parametrize(
    ("defn", "bounds"),
    [(choice.mc2, (0.0, 1.0)), (qa.squad_f1, (0.0, 1.0)), (rouge.rougeL, (0.0, 1.0)), (choice.brier, (0.0, 2.0)),
     (selfcheck.selfcheck_avg, (0.0, None)), (bias.likelihood_diff, None)],
)  # fmt: skip
def test_an_interval_ends_where_the_metric_does(defn, bounds) -> None:
    values = [0.2, 0.4, 0.9]
    metric = aggregate(defn, values)
    half = 4.302653 * 0.360555 / math.sqrt(3)
    low, high = bounds or (None, None)
    assert metric.interval is not None
    if low is None or high is None:
        assert metric.interval == pytest.approx((0.5 - half if low is None else 0.0, 0.5 + half), abs=1e-5)
    else:
        assert low < metric.interval[0] < 0.5 < metric.interval[1] < high
    assert metric.interval == interval_for(values, bounds=bounds).interval()
    assert metric.bounds == bounds


def test_a_groups_interval_ends_where_its_metric_does() -> None:
    values = [0.99, 1.0, 0.9, 1.0]
    infos = [TaskInfo(name, "1", "generate", None, "test", 0, "f1,none", {}) for name in "ab"]
    tasks = [TaskResult(info, (aggregate(qa.squad_f1, values, name="f1"),), 4, 4) for info in infos]
    (group,) = summarize_groups([Group("both", ("a", "b"), aggregate=("f1,none",))], tasks)
    assert group.macro[0].interval is not None
    assert 0.97 < group.macro[0].interval[1] <= 1.0
    assert group.macro[0].value is not None
    assert group.macro[0].stderr is not None
    assert group.macro[0].value + 1.96 * group.macro[0].stderr > 1.0
    assert group.micro[0].bounds == (0.0, 1.0)


def test_nothing_scored_has_no_value() -> None:
    metric = aggregate(choice.acc, [None, None])
    assert (metric.value, metric.stderr, metric.interval, metric.n) == (None, None, None, 0)
    assert aggregate(rolling.bits_per_byte, []).value is None
    assert aggregate(continuation.perplexity, []).value is None


def test_one_value_has_no_error() -> None:
    assert aggregate(choice.acc, [1.0]).stderr is None
    assert aggregate(choice.mc2, [0.5]).stderr is None
    assert aggregate(bias.likelihood_diff, [0.5]).interval is None
    assert aggregate(continuation.perplexity, [-1.0]).interval is None


def test_unscored_samples_are_left_out() -> None:
    metric = aggregate(choice.acc, [1.0, None, 0.0])
    assert (metric.value, metric.n) == (0.5, 2)


def test_perplexities_equal_lm_eval() -> None:
    from lm_eval.api import metrics as theirs

    lls = [-1.5, -2.5, -0.3, -4.0]
    pairs = [(-10.0, 4.0), (-3.0, 2.0), (-25.0, 9.0)]
    assert aggregate(continuation.perplexity, lls).value == pytest.approx(theirs.perplexity(lls), rel=1e-12)
    assert aggregate(rolling.word_perplexity, pairs).value == pytest.approx(
        theirs.weighted_perplexity(pairs), rel=1e-12
    )
    assert aggregate(rolling.bits_per_byte, pairs).value == pytest.approx(theirs.bits_per_byte(pairs), rel=1e-12)


def test_perplexity_interval_is_the_logarithms() -> None:
    lls = [-3.5, -4.5, -4.3, -4.0]
    metric = aggregate(continuation.perplexity, lls)
    assert metric.value is not None
    assert metric.interval is not None
    low, high = metric.interval
    assert math.log(low) + math.log(high) == pytest.approx(2 * math.log(metric.value))
    assert metric.signature.startswith("perplexity|agg:perplexity|ci:log-delta-t|")


def test_impossible_text_has_infinite_perplexity() -> None:
    assert aggregate(continuation.perplexity, [-math.inf, -1.0]).value == math.inf
    assert aggregate(continuation.perplexity, [-5000.0, -5000.0]).value == math.inf


def test_delta_method_agrees_with_the_bootstrap() -> None:
    import numpy as np

    from evalkit.statistics import intervals

    generator = np.random.default_rng(3)
    weights = generator.integers(20, 80, size=300).astype(float)
    lls = -weights * generator.normal(2.0, 0.3, size=300)
    metric = aggregate(rolling.bits_per_byte, list(zip(lls.tolist(), weights.tolist(), strict=True)))
    drawn = intervals.bootstrap_interval(
        lambda index: float(-lls[index].sum() / weights[index].sum() / math.log(2)), 300, seed=5
    )
    assert drawn is not None
    assert metric.stderr == pytest.approx(drawn[0], rel=0.1)


def test_arguments_and_filters_stand_in_the_signature() -> None:
    metric = aggregate(
        qa.exact_match, [1.0, 0.0], filter="strip", args={"regexes_to_ignore": ["a|b"], "ignore_case": True}
    )
    assert metric.key == "exact_match,strip"
    assert metric.signature == (
        'exact_match|agg:mean|filter:strip|args:{"ignore_case":true,"regexes_to_ignore":["a\\u007cb"]}'
        "|ci:wilson-midp|n:2|v:evalkit-0.1.0"
    )


def test_lookup_prefers_the_kinds_own() -> None:
    assert lookup("acc", "multiple_choice") is choice.acc
    assert lookup("acc", "score") is continuation.acc
    assert lookup("exact_match", "generate") is qa.exact_match
    assert lookup("exact_match", "choice") is choice.exact_match
    assert lookup("bits_per_byte", "rolling") is rolling.bits_per_byte


def test_lookup_says_what_is_wrong() -> None:
    with pytest.raises(UserError, match="for tasks of kind choice, not text"):
        lookup("acc_norm", "generate")
    with pytest.raises(UserError, match="acc_norm"):
        lookup("acc_nrom", "multiple_choice")
    with pytest.raises(UserError, match="unknown aggregator"):
        combine.named("median")
