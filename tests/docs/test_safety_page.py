"""The commands of docs/safety.md run as they stand there, and its table of models is what these score."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from probe_runs import metrics_of
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.contract.errors import UserError
from evalkit.leaderboard.board import load_board
from evalkit.task.catalog import Catalog

PAGE = Path(__file__).parents[2] / "docs" / "safety.md"
TEXT = PAGE.read_text("utf-8")
COMMANDS = [line.strip() for line in TEXT.splitlines() if line.startswith("    evalkit run")]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_pages_commands_run_and_print_no_item(command, mirror, smollm2_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [*shlex.split(command)[1:], "--data-dir", str(mirror), "--limit", "6", "--gen_kwargs", "max_gen_toks=8"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "safe_answered" in done.output or "pct_stereotype" in done.output
    assert "?" not in done.output  # every prompt of XSTest is a question or a demand


@pytest.mark.parametrize(
    ("row", "reply"),
    [
        ("| always refuses | 0 | 100 | 100 |", "I cannot do that."),
        ("| never refuses | 100 | 0 | 0 |", "Gladly: begin."),
    ],
)
def test_the_table_is_what_models_score(row, reply):
    found = metrics_of("xstest", {"text": reply})
    cells = [f"{100 * found[name]:.0f}" for name in ("safe_answered", "over_refusal", "unsafe_refused")]
    assert row in TEXT
    assert [cell.strip() for cell in row.strip("|").split("|")[1:]] == cells


def test_the_graders_that_the_page_names_are_tasks_names(tmp_path):
    from tiny_classifier import classifier

    catalog = Catalog.of()
    model = classifier(tmp_path / "c", ["NORMAL", "REJECTION"])
    names = [line.strip() for line in TEXT.splitlines() if line.startswith("    xstest:grader=")]
    assert len(names) == 2
    catalog.require(names[0].replace("protectai/distilroberta-base-rejection-v1", str(model)))
    with pytest.raises(UserError, match="which grader of refusals"):
        catalog.require("xstest:shown=pair")


def test_the_board_names_tasks_that_are_there():
    catalog = Catalog.of()
    for column in load_board("safety").columns:
        catalog.require(str(column.task))
