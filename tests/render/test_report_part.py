"""A page draws on the first items of a task that has very many, and says so."""

from __future__ import annotations

from pathlib import Path

import made_runs as made
import pytest

from evalkit.render.report import write_report
from evalkit.render.samples import Browser
from evalkit.store import RunDir


def test_a_page_draws_on_a_part_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.render.samples.PART", 30)
    monkeypatch.setattr("evalkit.render.sample_charts.PART", 30)
    run = made.write_run(tmp_path / "run", [made.choice_task("big", made.answers(90, 0.5, 1))])
    browser = Browser(["a"], [("big", "acc,none")], [RunDir.open(run)])
    assert len(list(browser.pieces())) == 2  # one chunk and the index
    (entry,) = browser.manifest["tasks"]
    assert (entry["n"], entry["of"]) == (30, 90)
    page = write_report([run], tmp_path / "report.html").read_text("utf-8")
    assert "Of tasks with more items the first 30 are shown: big (90)." in page


def test_a_page_that_shows_all_says_nothing(tmp_path: Path) -> None:
    run = made.write_run(tmp_path / "run", [made.choice_task("small", made.answers(90, 0.5, 1))])
    assert "with more items" not in write_report([run], tmp_path / "report.html").read_text("utf-8")


@pytest.mark.parametrize("limit", [None, 1, 7, 90, 1000])
def test_the_first_samples_are_read_alone(tmp_path: Path, limit: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.store.samples.ROWS_AT_ONCE", 3)
    run = RunDir.open(made.write_run(tmp_path / "run", [made.choice_task("big", made.answers(90, 0.5, 1))]))
    whole, part = run.samples("big"), run.samples("big", limit=limit)
    for column in ("doc_id", "prompt", "target", "metrics"):
        assert list(part[column]) == list(whole[column])[:limit]
    assert run.sample_count("big") == len(whole) == 90
    assert list(run.samples("big", ["doc_id", "no such column"], limit).columns) == ["doc_id"]
