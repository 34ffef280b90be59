"""docs/run.md: what it says of answering once and scoring again runs as it is written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import evalkit

PAGE = (Path(__file__).parents[2] / "docs" / "run.md").read_text("utf-8")


def test_answers_are_made_once_and_scored_again(tmp_path: Path) -> None:
    (script,) = re.findall(r"```sh\n(.*?)```", PAGE.partition("## Answer once, score again")[2], re.DOTALL)[:1]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-euc", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(evalkit.load_run(tmp_path / "runs" / "some").samples("boolq")) == 5
    assert "ece" in {metric.name for metric in evalkit.load_run(tmp_path / "runs" / "scored").result.tasks[0].metrics}
