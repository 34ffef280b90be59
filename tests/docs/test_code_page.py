"""The commands of docs/code.md run as they stand there, and its task of one's own does what the page says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from sandbox.jails import jail_or_skip
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.leaderboard.board import load_board
from evalkit.task.catalog import Catalog

PAGE = (Path(__file__).parents[2] / "docs" / "code.md").read_text("utf-8")
COMMANDS = [line.strip() for line in PAGE.splitlines() if line.startswith("    evalkit run")]


def run(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jail_or_skip()
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, [*shlex.split(command)[1:], "--gen_kwargs", "max_gen_toks=40,repeats=2"])
    assert done.exit_code == 0, done.output
    assert "pass@1" in done.output


def test_the_first_command_runs_on_the_real_model(
    smollm2_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(COMMANDS[0], tmp_path, monkeypatch)


@pytest.mark.parametrize("command", COMMANDS[1:])
def test_the_others_run(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(command.replace("smollm2-135m", "mock"), tmp_path, monkeypatch)


def test_a_task_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jail_or_skip()
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my_tasks" / "shout"
    folder.mkdir(parents=True)
    section = PAGE.partition("## A task of one's own")[2]
    for language, name in (("python", "task.py"), ("yaml", "task.yaml"), ("json", "rows.jsonl")):
        (folder / name).write_text(re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)[0], "utf-8")
    for text, value in (("    return text.upper()", "1.0000"), ("    return text", "0.0000")):
        (tmp_path / "answers.jsonl").write_text(f'{{"text": "{text}"}}\n', "utf-8")
        command = ["run", "--model", "predictions:answers.jsonl", "--tasks", "shout", "--include-path", "my_tasks"]
        refused = CliRunner().invoke(app, [*command, "--output", "refused"])
        assert refused.exit_code == 2
        done = CliRunner().invoke(app, [*command, "--output", value, "--allow-code-execution"])
        assert done.exit_code == 0, done.output
        assert f"{value} [" in done.output


def test_the_board_names_tasks_that_are_there() -> None:
    catalog = Catalog.of()
    for column in load_board("code").columns:
        catalog.require(str(column.task))
