"""Group averages against numbers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from scipy.stats import t

from evalkit.contract.types import Group, MetricResult, TaskInfo, TaskResult
from evalkit.task.groups import leaves, summarize_groups


def result(name: str, value: float | None, stderr: float | None, n: int, key: str = "acc") -> TaskResult:
    metric = MetricResult(key, "none", value, stderr, None, n, True, "s", True, 0.25, 0.3)
    info = TaskInfo(name, "1", "multiple_choice", None, "test", 0, "acc,none", {"acc,none": True})
    return TaskResult(info, (metric,), n, n)


GROUPS = (
    Group("low", ("a", "b"), aggregate=("acc,none",)),
    Group("top", ("low", "c"), aggregate=("acc,none",)),
)


def test_a_group_of_one_task_has_its_interval() -> None:
    one = result("a", 0.0, 0.0, 10)
    metric = replace(one.metrics[0], interval=(0.0, 0.2775), signature="acc|n:10|ci:wilson")
    low, _ = summarize_groups(GROUPS, [replace(one, metrics=(metric,))])
    for average in (low.micro[0], low.macro[0]):
        assert average.interval == (0.0, 0.2775)
        assert "ci:wilson" in average.signature.split("|")


def test_micro_and_macro() -> None:
    results = [result("a", 0.5, 0.05, 100), result("b", 0.8, 0.1, 20), result("c", 0.2, 0.04, 80)]
    low, top = summarize_groups(GROUPS, results)
    assert low.micro[0].value == pytest.approx((50 + 16) / 120)
    assert low.macro[0].value == pytest.approx(0.65)
    pooled = math.sqrt((99 * 100 * 0.05**2 + 19 * 20 * 0.1**2) / (120 - 2) / 120)
    assert low.micro[0].stderr == pytest.approx(pooled)
    assert low.macro[0].stderr == pytest.approx(math.sqrt(0.05**2 + 0.1**2) / 2)
    assert top.micro[0].n == 200
    assert top.micro[0].value == pytest.approx((50 + 16 + 16) / 200)
    assert top.macro[0].interval is not None
    # Three tasks of 100, 20 and 80 items: Student's t with Satterthwaite's degrees of freedom, about 49.
    errors = [0.05**4 / 99, 0.1**4 / 19, 0.04**4 / 79]
    freedom = (0.05**2 + 0.1**2 + 0.04**2) ** 2 / sum(errors)
    width = 2 * t.ppf(0.975, freedom) * (top.macro[0].stderr or 0.0)
    assert top.macro[0].interval[1] - top.macro[0].interval[0] == pytest.approx(width)
    assert top.macro[0].signature == "acc|group:top|avg:macro|tasks:3|se:independent|ci:stratified-t|n:200"
    assert top.micro[0].baseline == pytest.approx(0.25)
    assert top.micro[0].majority == pytest.approx(0.3)


def test_a_task_without_the_metric_is_left_out_and_named() -> None:
    results = [result("a", 0.5, None, 1), result("b", None, None, 0), result("c", 0.25, 0.1, 3, key="f1")]
    low, top = summarize_groups(GROUPS, results)
    assert low.micro[0].value == 0.5
    assert low.micro[0].stderr is None
    assert low.micro[0].interval is None
    assert top.macro[0].signature == "acc|group:top|avg:macro|tasks:1|without:b+c|se:none|ci:none|n:1"


def test_a_group_of_shares_at_a_hundred_percent_has_the_interval_of_nearly_all_its_items() -> None:
    """Wilson's, less what each task's own mean takes: half an item of 100, and as many degrees of freedom."""
    whole = [replace(result(name, 1.0, 0.0, 100), metrics=(perfect(100),)) for name in ("a", "b")]
    (low,) = summarize_groups(GROUPS[:1], whole)
    for average in (low.micro[0], low.macro[0]):
        wide = t.ppf(0.975, 199) ** 2 * 100 / 99.5
        assert average.interval == pytest.approx((1 / (1 + wide / 200), 1.0), abs=1e-6)
        assert "ci:score" in average.signature


def perfect(n: int) -> MetricResult:
    return MetricResult("acc", "none", 1.0, 0.0, (0.96, 1.0), n, True, "s", True, bounds=(0.0, 1.0))


def test_nothing_to_average() -> None:
    (only,) = summarize_groups(GROUPS[:1], [])
    assert only.micro == only.macro == ()


def test_leaves_come_once() -> None:
    groups = {group.name: group for group in (*GROUPS, Group("all", ("top", "low", "d")))}
    assert leaves(groups["all"], groups) == ("a", "b", "c", "d")
