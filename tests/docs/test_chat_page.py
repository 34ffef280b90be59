"""The commands and the program of docs/chat.md do what the page says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app

PAGE = (Path(__file__).parents[2] / "docs" / "chat.md").read_text("utf-8")
COMMANDS = re.findall(r"^evalkit .*", PAGE, re.MULTILINE)


@pytest.mark.model
def test_the_first_command_and_the_program(
    smollm2_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, shlex.split(COMMANDS[0])[1:])
    assert done.exit_code == 0, done.output
    assert {path.name for path in Path("judged").iterdir()} >= {"report.html", "chat.json", "answers", "replies.sqlite"}
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, {})
    assert "Graded(" in capsys.readouterr().out


def test_the_board_takes_entries_and_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from evalkit.leaderboard.entry import Entry, Model, Result, Score, write_entry

    monkeypatch.chdir(tmp_path)
    grade = Result(
        n=80, n_total=80, primary="judge score,none", protocol="heron as judge, by evalkit's prompts",
        metrics={"judge score,none": Score(value=6.5, interval=(6.0, 7.0), n=160, unit="1-10")},
    )  # fmt: skip
    write_entry(Entry(model=Model(name="mine"), results={"MT-Bench": grade}), Path("judged/entries"))
    run = ("run", "--model", "mock", "--tasks", "boolq", "--bundled", "--limit", "2", "--output", "runs/ifeval")
    assert CliRunner().invoke(app, run).exit_code == 0
    build = shlex.split(COMMANDS[1])[1:]
    assert build[:2] == ["leaderboard", "build"]
    done = CliRunner().invoke(app, build)
    assert done.exit_code == 0, done.output
    table = Path("site/board.csv").read_text()
    row = next(line for line in table.splitlines() if "mine" in line)
    assert "6.5" in row
    # GPT-4's verdicts do not stand beside heron's; the page says whose they are.
    zephyr = next(line for line in table.splitlines() if "Zephyr" in line)
    assert "7.34" not in zephyr
    assert "90.6" in zephyr or "0.906" in zephyr
    assert "GPT-4 as judge" in Path("site/index.html").read_text()
