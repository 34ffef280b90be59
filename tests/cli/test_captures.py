"""What the terminal shows at 80, 100 and 160 columns: nothing wider than it, no word and no number parted within.

The widest capture is taken as whole. Whatever a narrower one shows must stand in that too: a piece of a word or number
would not. Names may part at their joints (`_`, `/`, `:`, `,`, ...), and a line may be cut if it says so by an ellipsis.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalkit.cli.app import COMMANDS, app

WIDTHS = (80, 100)
WHOLE = 400
PIECE = re.compile(r"[^\s_,/:|+@=\-\u2500-\u257f\[\](){}<>'\"`;]+")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs, a and b, and a baseline."""
    folder = tmp_path_factory.mktemp("hour")
    tasks = "mmlu,boolq,triviaqa,truthfulqa_mc2"
    for name, seed in (("a", "1"), ("b", "2")):
        line = [
            "run",
            "--model",
            "mock",
            "--model-args",
            f"seed={seed}",
            "--label",
            f"checkpoint-{name}-of-a-long-name",
        ]
        done = CliRunner().invoke(
            app, [*line, "--tasks", tasks, "--bundled", "--limit", "8", "--output", str(folder / name), "-q"]
        )
        assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, ["baseline", "save", str(folder / "a"), "--output", str(folder / "base.json")])
    assert done.exit_code == 0, done.output
    return folder


def capture(line: list[str], columns: int) -> str:
    done = CliRunner().invoke(app, line, env={"COLUMNS": str(columns)})
    assert done.exit_code in (0, 1, 3), done.output
    return done.output


SHOWN = {
    "tasks list": ["tasks", "list"],
    "tasks list --long": ["tasks", "list", "--long"],
    "tasks list --all": ["tasks", "list", "--all"],
    "models list": ["models", "list"],
    "version": ["version"],
    "compare": ["compare", "RUNS/a", "RUNS/b"],
    "compare --all-metrics": ["compare", "RUNS/a", "RUNS/b", "--all-metrics"],
    "gate": ["gate", "--baseline", "RUNS/base.json", "--candidate", "RUNS/b"],
    "plan": ["plan", "--baseline", "RUNS/base.json", "--flips", "0.1", "--draws", "20"],
    "run": ["run", "--resume", "RUNS/a", "--all-metrics"],
    "verify": ["verify", "RUNS/a"],
    "card": ["card", "RUNS/a"],
}


@pytest.mark.parametrize("name", SHOWN)
def test_nothing_is_parted_within(name: str, runs: Path) -> None:
    line = [word.replace("RUNS", str(runs)) for word in SHOWN[name]]
    whole = set(PIECE.findall(capture(line, WHOLE)))
    for columns in WIDTHS:
        shown = capture(line, columns)
        pieces = {piece for row in shown.splitlines() for piece in PIECE.findall(row) if not piece.endswith("…")}
        assert not {one for one in pieces - whole if not re.fullmatch(r"[\d.,]+s?", one) or name != "plan"}, columns
        too_wide = [
            row
            for row in shown.splitlines()
            if len(row.rstrip()) > columns and str(runs) not in row and " " in row.strip()
        ]
        assert name == "card" or not [row for row in too_wide if "│" in row or "─" in row], columns


HELP = [[], *([one] for one in COMMANDS)]


@pytest.mark.parametrize("line", HELP, ids=lambda line: " ".join(line) or "evalkit")
def test_help_parts_no_word(line: list[str]) -> None:
    whole = set(PIECE.findall(capture([*line, "--help"], WHOLE)))
    shown = capture([*line, "--help"], 80)
    pieces = {piece for row in shown.splitlines() for piece in PIECE.findall(row) if not piece.endswith("…")}
    assert not pieces - whole
    assert max(len(row) for row in shown.splitlines()) <= 80
