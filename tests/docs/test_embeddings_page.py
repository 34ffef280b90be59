"""The commands of docs/embeddings.md run as they stand there."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.leaderboard.board import load_board
from evalkit.task.catalog import Catalog

PAGE = Path(__file__).parents[2] / "docs" / "embeddings.md"
COMMANDS = [line.strip() for line in PAGE.read_text("utf-8").splitlines() if line.startswith("    evalkit run")]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_s_commands_run(command, mirror, smollm2_folder, tmp_path, monkeypatch):
    pytest.importorskip("wordllama", reason="needs wordllama (pip install 'evalkit-harness[embedding]')")
    pytest.importorskip("ir_measures", reason="needs ir-measures (pip install 'evalkit-harness[embedding]')")
    monkeypatch.chdir(tmp_path)
    fewer = [] if "--limit" in command else ["--limit", "40"]
    done = CliRunner().invoke(app, [*shlex.split(command)[1:], "--data-dir", str(mirror), *fewer])
    assert done.exit_code == 0, done.output
    assert "cosine_spearman" in done.output or "ndcg_at_10" in done.output


def test_the_board_of_embedders_names_tasks_that_are_there():
    catalog = Catalog.of()
    for column in load_board("embedding").columns:
        catalog.require(str(column.task))
