"""Quality against speed and memory: who is on the front, and whose memory is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import made_runs as made
import pytest

from evalkit.render.pareto import front, memory, pareto_charts
from evalkit.render.report import load
from evalkit.render.view import Marks, build

GB = 1_000_000_000


def figures(tmp_path: Path, *runs: tuple[str, float, float, float]) -> dict[str, Any]:
    """The plots of runs (label, quality, tokens a second, GB), by title."""
    paths = [
        made.write_run(
            tmp_path / label,
            [made.choice_task("a", [number < 100 * quality for number in range(100)])],
            label=label,
            counters={"throughput": {"tokens_per_s": speed}, "memory": {"host_peak_bytes": int(size * GB)}},
        )
        for label, quality, speed, size in runs
    ]
    _, loaded = load(paths)
    view = build(loaded, Marks())
    return {figure["title"]: figure for figure in pareto_charts(view)}


def test_the_fronts_hold_what_no_other_beats(tmp_path: Path) -> None:
    found = figures(
        tmp_path, ("slow", 0.9, 10, 4), ("quick", 0.5, 90, 1), ("worse", 0.4, 50, 2), ("middle", 0.7, 40, 3)
    )
    speed, size = found["Quality against speed"], found["Quality against memory"]
    assert (speed["data"][-1]["x"], speed["data"][-1]["y"]) == ([10, 40, 90], [90, 70, 50])
    assert (size["data"][-1]["x"], size["data"][-1]["y"]) == ([1, 3, 4], [50, 70, 90])
    assert [trace["name"] for trace in size["data"]] == ["slow", "quick", "worse", "middle", "Pareto front"]
    assert (speed["data"][-1]["line"]["shape"], size["data"][-1]["line"]["shape"]) == ("vh", "hv")


def test_one_run_has_no_front(tmp_path: Path) -> None:
    assert figures(tmp_path, ("only", 0.5, 1, 1)) == {}


def test_equal_points_are_all_on_the_front() -> None:
    points: list[Any] = [(1.0, 50.0, "a"), (1.0, 50.0, "b"), (2.0, 50.0, "c")]
    assert [point[2] for point in front(points, larger_is_better=False)] == ["a", "b"]
    assert [point[2] for point in front(points, larger_is_better=True)] == ["c"]


@pytest.mark.parametrize(
    ("device", "held", "expected"),
    [
        ("cpu", {"host_peak_bytes": 5}, 5.0),
        ("cuda", {"host_peak_bytes": 5, "device_peak_allocated_bytes": 9}, 9.0),
        ("cpu", {"host_peak_bytes": 5, "host_answer_peak_bytes": 4}, 4.0),
        ("cpu", {"host_peak_bytes": 5, "replicas_host_peak_bytes": 20}, 25.0),
        ("cpu", {"host_answer_peak_bytes": 3, "replicas_host_answer_peak_bytes": 9, "host_peak_bytes": 5}, 12.0),
        ("server", {"host_peak_bytes": 5}, None),
        ("cpu, server", {"host_peak_bytes": 5}, None),
        ("cpu", {}, None),
    ],
)
def test_memory_is_that_of_where_the_model_is(device: str, held: dict[str, int], expected: float | None) -> None:
    from types import SimpleNamespace

    run: Any = SimpleNamespace(result=SimpleNamespace(model={"device": device}, counters={"memory": held}))
    assert memory(run) == expected


def test_points_carry_their_runs_name_and_colour(tmp_path: Path) -> None:
    found = figures(tmp_path, *((f"run{n}", 0.5, 10.0 + n, 1.0 + n) for n in range(9)))
    dots = found["Quality against speed"]["data"][:-1]
    assert [dot["text"] for dot in dots] == [[f"run{n}"] for n in range(9)]
    assert [dot["series"] for dot in dots] == list(range(9))
    assert dots[0]["marker"]["symbol"] != dots[8]["marker"]["symbol"]
