"""Group averages against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from evalkit.contract.types import Group, Metric, TaskInfo, TaskResult
from evalkit.task.groups import leaves, summarize_groups


def result(name: str, value: float | None, stderr: float | None, n: int, key: str = "acc") -> TaskResult:
    metric = Metric(key, "none", value, stderr, None, n, True, "s", True, 0.25, 0.3)
    info = TaskInfo(name, "1", "multiple_choice", None, "test", 0, "acc,none", {"acc,none": True})
    return TaskResult(info, (metric,), n, n)


GROUPS = (
    Group("low", ("a", "b"), aggregate=("acc,none",)),
    Group("top", ("low", "c"), aggregate=("acc,none",)),
)


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
    assert top.micro[0].interval is not None
    assert top.micro[0].interval[1] - top.micro[0].interval[0] == pytest.approx(
        2 * 1.96 * top.micro[0].stderr, rel=1e-4
    )
    assert top.macro[0].signature == "acc|group:top|avg:macro|tasks:3|se:independent|ci:normal|n:200"
    assert top.micro[0].baseline == pytest.approx(0.25)
    assert top.micro[0].majority == pytest.approx(0.3)


def test_a_task_without_the_metric_is_left_out_and_named() -> None:
    results = [result("a", 0.5, None, 1), result("b", None, None, 0), result("c", 0.25, 0.1, 3, key="f1")]
    low, top = summarize_groups(GROUPS, results)
    assert low.micro[0].value == 0.5
    assert low.micro[0].stderr is None
    assert low.micro[0].interval is None
    assert top.macro[0].signature == "acc|group:top|avg:macro|tasks:1|without:b+c|se:none|ci:none|n:1"


def test_nothing_to_average() -> None:
    (only,) = summarize_groups(GROUPS[:1], [])
    assert only.micro == only.macro == ()


def test_leaves_come_once() -> None:
    groups = {group.name: group for group in (*GROUPS, Group("all", ("top", "low", "d")))}
    assert leaves(groups["all"], groups) == ("a", "b", "c", "d")
