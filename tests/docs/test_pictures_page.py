"""The task and the model of docs/pictures.md as they stand there, and the board and the example of pictures."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from evalkit.leaderboard.board import load_board
from evalkit.task.catalog import Catalog

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "pictures.md").read_text("utf-8")


def test_the_pages_task_runs(tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="needs the extra vision")
    (task,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    folder = tmp_path / "my_tasks" / "signs"
    folder.mkdir(parents=True)
    (folder / "task.yaml").write_text(task)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_board_and_example_name_tasks_that_are_there() -> None:
    catalog = Catalog.of()
    for column in load_board("open-vlm").columns:
        catalog.require(str(column.task))
    asked = yaml.safe_load((ROOT / "examples" / "pictures.yaml").read_text())
    for task in asked["tasks"]:
        catalog.require(task.partition("@")[0])
