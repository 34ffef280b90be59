"""docs/run.md: what it says of answering once and scoring again runs as it is written."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

import evalkit
from evalkit.cli.app import app

PAGE = (Path(__file__).parents[2] / "docs" / "run.md").read_text("utf-8")


def test_answers_are_made_once_and_scored_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    script = re.findall(r"```sh\n(.*?)```", PAGE.partition("## Answer once, score again")[2], re.DOTALL)[0]
    for line in script.splitlines():
        if line.startswith("evalkit "):
            done = CliRunner().invoke(app, shlex.split(line)[1:])
            assert done.exit_code == 0, done.output
        else:
            subprocess.run(["bash", "-euc", line], check=True)
    assert len(evalkit.load_run("runs/some").samples("boolq")) == 5
    assert "ece" in {metric.name for metric in evalkit.load_run("runs/scored").result.tasks[0].metrics}
