"""The names of tasks on the pages about long context and consistency are there, and its short commands run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.leaderboard.board import load_board
from evalkit.task.catalog import Catalog

DOCS = Path(__file__).parents[2] / "docs"
COMMANDS = [
    line.strip().replace("MODEL", "mock")
    for page in ("long_context.md", "probes.md")
    for line in (DOCS / page).read_text("utf-8").splitlines()
    if re.match(r"    evalkit run .*(needle|ruler|rag|noise|conversation|perplexity_by_length)", line)
]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_pages_commands_run(command, mirror, tmp_path, monkeypatch):
    pytest.importorskip("wordllama", reason="needs wordllama (pip install 'evalkit-harness[embedding]')")
    pytest.importorskip("wonderwords", reason="needs wonderwords (pip install 'evalkit-harness[ruler]')")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "books").symlink_to(mirror / "haystack")
    # RULER's essays and HotpotQA come from the Hub.
    command = command.replace("--tasks ruler ", "--tasks ruler:synthetic:text=books ")
    command = re.sub(r"--tasks ruler$", "--tasks ruler:synthetic:text=books", command)
    fewer = ["--data-dir", str(mirror), "--limit", "3", *(["--bundled"] if "noise" in command else [])]
    done = CliRunner().invoke(app, [*command.split()[1:], *fewer])
    assert done.exit_code == 0, done.output


def test_the_board_s_columns_are_there():
    catalog = Catalog.of()
    for column in load_board("long-context").columns:
        catalog.require(str(column.task))
