"""docs/commands.md tells every command and option, docs/tasks.md and the README every task, and they are not stale."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("script", ["command_docs.py", "task_table.py"])
def test_the_page_is_what_the_script_writes(script: str) -> None:
    command = [sys.executable, str(ROOT / "scripts" / script), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_of_the_readme_is_there():
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    for name in ("run", "retry", "compare", "gate", "baseline save", "report", "leaderboard build", "cache prune"):
        assert f"## evalkit {name}\n" in page
    assert "| `--max-error-rate` `X` |" in page
