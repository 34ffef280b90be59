"""Quality against speed and memory: who is on the front, and whose memory is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import made_runs as made
import pytest

from evalkit.render.figures import Scatter
from evalkit.render.pareto import front, memory, pareto_charts
from evalkit.render.report import load
from evalkit.render.view import Marks, build
from evalkit.statistics.intervals import wilson

GB = 1_000_000_000


def figures(tmp_path: Path, *runs: tuple[str, float, float, float]) -> dict[str, Scatter]:
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
    return {figure.title: figure for figure in pareto_charts(view)}


def test_the_fronts_hold_what_no_other_beats(tmp_path: Path) -> None:
    found = figures(
        tmp_path, ("slow", 0.9, 10, 4), ("quick", 0.5, 90, 1), ("worse", 0.4, 50, 2), ("middle", 0.7, 40, 3)
    )
    speed, size = found["Quality against speed"], found["Quality against memory"]
    assert corners(speed) == ["slow", "middle", "quick"]
    assert corners(size) == ["quick", "middle", "slow"]
    assert [mark.label for mark in size.marks] == ["slow", "quick", "worse", "middle"]
    # A step goes up first where more is better across, else it goes across first.
    assert speed.segments[0].x1 == speed.segments[0].x2
    assert size.segments[0].y1 == size.segments[0].y2
    low, high = wilson(90, 100)
    slow = speed.marks[0]
    assert slow.low is not None
    assert slow.high is not None
    assert slow.low > slow.y > slow.high
    assert f"± {50 * (high - low):.1f}" in slow.tip


def corners(figure: Scatter) -> list[str]:
    """The labels of the marks that the front goes through, from left to right."""
    ends = {(one.x1, one.y1) for one in figure.segments} | {(one.x2, one.y2) for one in figure.segments}
    on = [mark for mark in figure.marks if (mark.x, mark.y) in ends]
    return [mark.label for mark in sorted(on, key=lambda mark: mark.x)]


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
    dots = found["Quality against speed"].marks
    assert [dot.label for dot in dots] == [f"run{n}" for n in range(9)]
    assert [dot.tone for dot in dots] == [*range(8), 0]
    assert dots[0].symbol != dots[8].symbol
