"""The commands of docs/sql_and_tools.md run as they stand there, and its board asks for what is there.

The one on a server is run, on a server of its own, by tests/backends/test_tool_calls.py.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.leaderboard.board import load_board
from evalkit.task.catalog import Catalog

PAGE = Path(__file__).parents[2] / "docs" / "sql_and_tools.md"
COMMANDS = [line.strip() for line in PAGE.read_text("utf-8").splitlines() if line.startswith("    evalkit run")]


@pytest.mark.slow
@pytest.mark.parametrize("command", [one for one in COMMANDS if "localhost" not in one])
def test_the_page_s_commands_run(command, mirror, tmp_path, monkeypatch):
    if "defog" in command:
        pytest.importorskip("sqlglot", reason="needs sqlglot (pip install 'evalkit-harness[sql]')")
    monkeypatch.chdir(tmp_path)
    command = command.replace("MODEL", "mock").replace("DIR", str(mirror))
    done = CliRunner().invoke(app, shlex.split(command)[1:])
    assert done.exit_code == 0, done.output


def test_the_board_s_columns_are_there():
    catalog = Catalog.of()
    for column in load_board("tools").columns:
        catalog.require(str(column.task))


def test_four_tools_are_chosen_at_once_and_after_a_thought(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rules = [
        {"match": "Thought:$", "text": " It asks for a sum.\nTool: Calculator.\n\nRequest: more"},
        {"match": "Tool:$", "text": " The calendar"},
    ]
    Path("script.json").write_text(json.dumps(rules), "utf-8")
    arguments = [
        "run",
        "--model",
        "mock",
        "--model_args",
        "script=script.json",
        "--tasks",
        "tool-choice",
        "--output",
        "run",
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    results = json.loads(next(Path("run").glob("results*.json")).read_text("utf-8"))["results"]
    assert results["tool_choice"]["exact_match,tool"] == results["tool_choice_thought"]["exact_match,tool"] == 0.25


def test_the_page_s_example_runs(capsys):
    block = re.search(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert block is not None
    namespace: dict[str, Any] = {}
    exec(block[1], namespace)
    assert namespace["request"].messages[0].tools == (namespace["tool"],)
    assert capsys.readouterr().out == "weather {'town': 'Oslo'}\n"
