"""docs/commands.md tells every command and option, and is not stale."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_script_writes():
    command = [sys.executable, str(ROOT / "scripts" / "command_docs.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_of_the_readme_is_there():
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    for name in ("run", "retry", "compare", "gate", "baseline save", "report", "leaderboard build", "cache prune"):
        assert f"## evalkit {name}\n" in page
    assert "| `--max-error-rate` `X` |" in page
