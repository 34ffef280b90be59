"""Without a board: the tasks that the runs have; with one: what each run lacks for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_entries import BOARD, entry, result
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.contract.errors import UserError
from evalkit.leaderboard.collect import Found
from evalkit.leaderboard.entry import Score, write_entry
from evalkit.leaderboard.from_runs import own_board
from evalkit.leaderboard.site import build_site


def folder(tmp_path: Path, *entries: object) -> Path:
    for one in entries:
        write_entry(one, tmp_path / "entries")  # type: ignore[arg-type]
    return tmp_path / "entries"


def test_a_board_is_made_of_what_the_runs_have(tmp_path: Path) -> None:
    one = entry("one", 0.5, 0.4)
    results = {**one.results, "mmlu": result(0.3, shots=5), "mmlu_anatomy": result(0.2, shots=5), "a": result(0.5)}
    board = own_board([Found(one.model_copy(update={"results": results}), tmp_path)])
    assert [column.task for column in board.columns] == ["a", "b", "mmlu"]  # the subjects are in their group's column
    assert board.score == "mean"
    other = entry("two", 0.6, None, results={"a": result(0.6, shots=3)})
    both = own_board([Found(one, tmp_path), Found(other, tmp_path)])
    assert [column.title for column in both.columns] == ["a 0-shot", "b", "a 3-shot"]


def test_what_no_mean_makes_sense_of_is_ranked_by_win_rate(tmp_path: Path) -> None:
    low = result(0.5)
    nats = low.model_copy(update={"metrics": {"acc,none": Score(value=3.2, stderr=0.1, n=9, proportion=False)}})
    found = [Found(entry("one", 0.5, None, results={"a": result(0.5), "text": nats}), tmp_path)]
    assert own_board(found).score == "win_rate"


def test_every_run_that_is_not_shown_or_not_ranked_is_told_why(tmp_path: Path) -> None:
    shots = entry("shots", None, None, results={"a": result(0.5, shots=5)})
    half = entry("half", 0.4, None)
    sources = folder(tmp_path, entry("whole", 0.8, 0.6), half, shots)
    board = tmp_path / "board.yaml"
    board.write_text(
        "name: test\ntitle: Test\ncolumns:\n- {title: A, task: a, metric: 'acc,none', num_fewshot: 0}\n"
        "- {title: B, task: b}\n"
    )
    line = ["leaderboard", "build", str(sources), "--board", str(board), "--output", str(tmp_path / "site")]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    told = done.stderr.splitlines()
    assert any(x.startswith("not on the board: shots (") and "a: run 5-shot, the board has 0-shot" in x for x in told)
    assert any(x.startswith("not ranked: half (") and "has 1 of 2 columns: b: not run" in x for x in told)
    assert not any("whole" in x for x in told)
    own = CliRunner().invoke(app, ["leaderboard", "build", str(sources), "--output", str(tmp_path / "own")])
    assert own.exit_code == 0, own.output
    assert "shots" in (tmp_path / "own" / "index.html").read_text()


def test_nothing_that_fits_says_what_is_missing(tmp_path: Path) -> None:
    sources = folder(tmp_path, entry("shots", None, None, results={"a": result(0.5, shots=5)}))
    with pytest.raises(UserError, match=r"nothing to show.*run 5-shot, the board has 0-shot.*leave out --board"):
        build_site([sources], BOARD, tmp_path / "site")
