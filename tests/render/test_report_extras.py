"""Calibration, needle maps, performance plots, and published numbers beside measured ones."""

from __future__ import annotations

import math
from pathlib import Path

import made_runs as made
import pytest

from evalkit.contract.types import Group
from evalkit.leaderboard.beside import published_beside
from evalkit.render.charts import charts
from evalkit.render.figures import Heat, HeatCell, Scatter, Segment, scale
from evalkit.render.performance_charts import performance_charts
from evalkit.render.report import load, write_report
from evalkit.render.sample_charts import sample_charts
from evalkit.render.view import Marks, build
from evalkit.statistics.intervals import wilson


def test_the_calibration_curve_puts_items_where_their_confidence_is(tmp_path: Path) -> None:
    run = made.write_run(tmp_path / "r", [made.choice_task("a", [number % 2 == 0 for number in range(200)])])
    (figure,) = sample_charts(*load([run]))
    assert isinstance(figure, Scatter)
    assert figure.title == "Calibration"
    assert figure.segments[0] == Segment(0, 100, 100, 0)
    # made_runs gives every choice -1 - |place - picked|: the confidence is one of two softmax values.
    middle = 1 / (1 + 2 * math.exp(-1) + math.exp(-2))
    edge = 1 / (1 + math.exp(-1) + math.exp(-2) + math.exp(-3))
    assert [mark.x for mark in figure.marks] == [
        pytest.approx(100 * middle, abs=0.2),
        pytest.approx(100 * edge, abs=0.2),
    ]
    for mark in figure.marks:
        n, share = int(mark.tip.split()[-2]), (100 - mark.y) / 100
        low, high = wilson(round(share * n), n)
        assert (mark.low, mark.high) == (
            pytest.approx(100 - 100 * low, abs=0.01),
            pytest.approx(100 - 100 * high, abs=0.01),
        )
    assert "expected error" in figure.legend[1][1]


def test_few_items_have_no_calibration_curve(tmp_path: Path) -> None:
    run = made.write_run(tmp_path / "r", [made.choice_task("a", [number % 2 == 0 for number in range(60)])])
    assert sample_charts(*load([run])) == []


def test_a_needle_task_becomes_a_heat_map_of_means(tmp_path: Path) -> None:
    places = [(512, 0.0, 1), (512, 0.0, 0), (512, 1.0, 1), (1024, 0.0, 0)]
    samples = [
        made.choice_sample(number, bool(right), task="needle", extra={"length": length, "depth": depth})
        for number, (length, depth, right) in enumerate(places)
    ]
    run = made.write_run(tmp_path / "r", [(made.info("needle"), samples)])
    (figure,) = sample_charts(*load([run]))
    assert isinstance(figure, Heat)
    assert figure.columns == ("512", "1,024")
    assert figure.rows == (
        ("0 %", (HeatCell("50", 50.0), HeatCell("0", 0.0))),
        ("100 %", (HeatCell("100", 100.0), None)),
    )
    assert "1 to 2 items a cell" in figure.note


def test_memory_and_latency_of_runs_are_drawn_in_their_units(tmp_path: Path) -> None:
    counters = {
        "memory": {"host_peak_bytes": 2_500_000_000},
        "latency": {"ttft": {"n": 4, "mean_s": 0.2, "p50_s": 0.1, "p90_s": 0.3, "p99_s": 0.4}},
    }
    run = made.write_run(tmp_path / "r", [made.choice_task("a", [True, False])], counters=counters)
    _, runs = load([run, run])
    memory, latency = performance_charts(runs)
    assert [bar.text for bar in memory.rows[0][1]] == ["2.5 GB", "2.5 GB"]
    assert [name for name, _ in latency.rows] == ["first token, p50", "first token, p90", "first token, p99"]
    assert [found[0].part for _, found in latency.rows] == [25.0, 75.0, 100.0]
    assert performance_charts(runs[:1]) == []


def test_tasks_of_several_runs_are_mapped_by_what_was_measured(tmp_path: Path) -> None:
    names = [f"g_{number}" for number in range(8)]
    tasks = [made.choice_task(name, [True, False]) for name in names]
    run = made.write_run(tmp_path / "r", tasks, groups=[Group("g", tuple(names), aggregate=("acc,none",))])
    _, runs = load([run, run])
    (figure,) = charts(build(runs, Marks()))
    assert "acc, percent; higher is better" in figure.note
    assert figure.rows[0] == ("g_0", (HeatCell("50.0", 50.0), HeatCell("50.0", 50.0)))
    assert charts(build(runs[:1], Marks())) == []


@pytest.mark.parametrize(
    ("values", "log", "expected"),
    [((0, 100), False, ["0", "20", "40", "60", "80", "100"]), ((0.1, 70), True, ["0.1", "1", "10", "100"])],
)
def test_axes_have_round_numbers(values: tuple[float, float], log: bool, expected: list[str]) -> None:
    found = scale(values, None if log else 0.0, None if log else 100.0, log).ticks()
    assert [tick.text for tick in found] == expected
    assert all(0 <= tick.at <= 100 for tick in found)


def test_published_numbers_stand_beside_the_same_task_metric_and_shots(tmp_path: Path) -> None:
    tasks = [made.choice_task("boolq", [1, 1, 0, 1], num_fewshot=0), made.choice_task("mmlu_x", [1, 0], num_fewshot=5)]
    run = made.write_run(
        tmp_path / "r", tasks, label="mine", groups=[Group("mmlu", ("mmlu_x",), aggregate=("acc,none",))]
    )
    _, runs = load([run])
    beside = published_beside(runs)
    assert beside is not None
    assert set(beside.columns) == {("boolq", "acc", "0-shot"), ("mmlu", "acc", "5-shot")} - (
        set() if runs[0].result.groups[0].micro else {("mmlu", "acc", "5-shot")}
    )
    rows = {line.name: dict(zip([c[0] for c in beside.columns], line.texts, strict=True)) for line in beside.lines}
    assert rows["mine"]["boolq"] == "75.0"
    assert rows["Alpaca-7B"]["boolq"] == "80.0"
    assert [line.source == "" for line in beside.lines].count(True) == 1
    page = write_report([run], tmp_path / "r.html").read_text()
    assert "Beside published numbers" in page


def test_other_shots_and_samples_have_nothing_beside_them(tmp_path: Path) -> None:
    for changes in ({"num_fewshot": 4}, {"num_fewshot": 0, "sample": True}):
        run = made.write_run(tmp_path / str(changes["num_fewshot"]), [made.choice_task("boolq", [1, 0], **changes)])
        assert published_beside(load([run])[1]) is None
