"""Calibration, needle maps, performance plots, and published numbers beside measured ones."""

from __future__ import annotations

import math
from pathlib import Path

import made_runs as made
import pytest

from evalkit.contract.types import Group
from evalkit.leaderboard.beside import published_beside
from evalkit.render.performance_charts import performance_charts
from evalkit.render.report import load, write_report
from evalkit.render.sample_charts import sample_charts


def test_the_calibration_curve_puts_items_where_their_confidence_is(tmp_path: Path) -> None:
    run = made.write_run(tmp_path / "r", [made.choice_task("a", [number % 2 == 0 for number in range(40)])])
    (figure,) = sample_charts(*load([run]))
    assert figure["title"] == "Calibration"
    curve, diagonal = figure["data"]
    assert diagonal["x"] == diagonal["y"] == [0, 100]
    assert sum(curve["customdata"]) == 40
    # made_runs gives every choice -1 - |place - picked|: the confidence is one of two softmax values.
    middle = 1 / (1 + 2 * math.exp(-1) + math.exp(-2))
    edge = 1 / (1 + math.exp(-1) + math.exp(-2) + math.exp(-3))
    assert curve["x"] == [pytest.approx(100 * middle, abs=0.1), pytest.approx(100 * edge, abs=0.1)]
    shares = [y * n / 100 for y, n in zip(curve["y"], curve["customdata"], strict=True)]
    assert sum(shares) == pytest.approx(20)


def test_a_needle_task_becomes_a_heat_map_of_means(tmp_path: Path) -> None:
    places = [(512, 0.0, 1), (512, 0.0, 0), (512, 1.0, 1), (1024, 0.0, 0)]
    samples = [
        made.choice_sample(number, bool(right), task="needle", extra={"length": length, "depth": depth})
        for number, (length, depth, right) in enumerate(places)
    ]
    run = made.write_run(tmp_path / "r", [(made.info("needle"), samples)])
    (figure,) = sample_charts(*load([run]))
    (trace,) = figure["data"]
    assert (trace["x"], trace["y"]) == (["512", "1,024"], ["0 %", "100 %"])
    assert trace["z"] == [[50.0, 0.0], [100.0, None]]


def test_memory_and_latency_are_drawn_in_their_units(tmp_path: Path) -> None:
    counters = {
        "memory": {"host_peak_bytes": 2_500_000_000},
        "latency": {"ttft": {"n": 4, "mean_s": 0.2, "p50_s": 0.1, "p90_s": 0.3, "p99_s": 0.4}},
    }
    run = made.write_run(tmp_path / "r", [made.choice_task("a", [True, False])], counters=counters)
    _, runs = load([run])
    memory, latency = performance_charts(runs)
    assert memory["data"][0]["x"] == [2.5]
    assert latency["data"][0]["y"] == ["first token, p50", "first token, p90", "first token, p99"]
    assert latency["data"][0]["x"] == [pytest.approx(100), pytest.approx(300), pytest.approx(400)]


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
    for changes in ({"num_fewshot": 3}, {"num_fewshot": 0, "sample": True}):
        run = made.write_run(tmp_path / str(changes["num_fewshot"]), [made.choice_task("boolq", [1, 0], **changes)])
        assert published_beside(load([run])[1]) is None
