"""Performance counters: together what belongs together, in reading order, and a line a task."""

from __future__ import annotations

from pathlib import Path

import made_runs as made

from evalkit.render.counters import by_task, groups
from evalkit.render.report import write_markdown, write_report

ONE = {
    "tasks": {"a": {"requests": 80, "apportioned_seconds": 4.86}, "b": {"requests": 20}},
    "memory": {"host_peak_bytes": 2_500_000_000},
    "requests": 100,
    "own": {"x": 1},
    "seconds": {"load": 0.5},
}


def test_parts_come_in_reading_order_with_units_of_their_own_names() -> None:
    found = groups([ONE, {"seconds": {"load": 2.0, "total": 90.0}}])
    assert found == (
        ("Time", (("load", ("500 ms", "2 s")), ("total", ("–", "90 s")))),
        ("Memory", (("host_peak_bytes", ("2.5 GB", "–")),)),
        ("Requests and tokens", (("requests", ("100", "–")),)),
        ("own", (("x", ("1", "–")),)),
    )


def test_tasks_have_a_line_each_and_say_what_is_missing() -> None:
    found = by_task(["one", "two"], [ONE, {}])
    assert found is not None
    assert found.names == ("requests", "apportioned_seconds")
    assert found.lines == (("a", "one", ("80", "4.86 s")), ("b", "one", ("20", "–")))
    assert by_task(["one"], [{"tasks": 3}]) is None
    assert groups([{"tasks": 3}]) == (("Requests and tokens", (("tasks", ("3",)),)),)


def test_the_report_has_both(tmp_path: Path) -> None:
    run = made.write_run(tmp_path / "r", [made.choice_task("a", [True, False])], counters=ONE)
    page = write_report([run], tmp_path / "r.html").read_text("utf-8")
    assert page.count("<h3>Time</h3>") == 1
    assert "Performance counters of each task" in page
    text = write_markdown([run], tmp_path / "r.md").read_text("utf-8")
    assert "| Time: load | 500 ms |" in text
    assert "### By task" in text
