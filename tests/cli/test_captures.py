"""What the terminal shows at 80, 100 and 160 columns: nothing wider than it, no word and no number parted within.

The widest capture is taken as whole. Whatever a narrower one shows must stand in that too: a piece of a word or number
would not. Names may part at their joints (`_`, `/`, `:`, `,`, ...), and a line may be cut if it says so by an ellipsis.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalkit.cli.app import COMMANDS, PANELS, app

WIDTHS = (80, 100, 160)
WHOLE = 400
PIECE = re.compile(r"[^\s\\_,/:|+@=\-\u2500-\u257f\[\](){}<>'\"`;]+")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs, a and b, a baseline, and a run of two tasks, short."""
    folder = tmp_path_factory.mktemp("hour")
    tasks = "mmlu,boolq,triviaqa,truthfulqa_mc2"
    for name, seed, asked in (("a", "1", tasks), ("b", "2", tasks), ("short", "3", "boolq,truthfulqa_mc2")):
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
            app, [*line, "--tasks", asked, "--bundled", "--limit", "4", "--output", str(folder / name), "-q"]
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
    "run": ["run", "--resume", "RUNS/a", "--all-metrics"],
    "plan": ["plan", "--baseline", "RUNS/short", "--flips", "0.05", "--loss", "0.1", "--draws", "50"],
    "verify": ["verify", "RUNS/a"],
    "card": ["card", "RUNS/a"],
}


QUICK = ("tasks", "models", "version", "verify", "card")
"""Commands that are run at every width and once wider still; of the others the widest terminal's is taken as whole."""


@pytest.mark.parametrize("name", SHOWN)
def test_nothing_is_parted_within(name: str, runs: Path) -> None:
    line = [word.replace("RUNS", str(runs)) for word in SHOWN[name]]
    quick = line[0] in QUICK
    whole = set(PIECE.findall(capture(line, WHOLE if quick else 160)))
    for columns in WIDTHS if quick else WIDTHS[:-1]:
        shown = capture(line, columns)
        pieces = {piece for row in shown.splitlines() for piece in PIECE.findall(row) if not piece.endswith("…")}
        assert not pieces - whole, columns
        tables = [row.rstrip() for row in shown.splitlines() if "─" in row]
        assert max(map(len, tables), default=0) <= columns


HELP = [[], *([one] for one in COMMANDS)]


@pytest.mark.parametrize("line", HELP, ids=lambda line: " ".join(line) or "evalkit")
def test_help_parts_no_word(line: list[str]) -> None:
    wide, shown = capture([*line, "--help"], 100), capture([*line, "--help"], 80)
    assert not set(PIECE.findall(shown)) - set(PIECE.findall(wide))
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown


@pytest.mark.parametrize("line", [["compare"], ["run"], ["leaderboard", "build"], ["judge", "pairwise"], ["plan"]])
def test_help_names_values_in_words(line: list[str]) -> None:
    shown = capture([*line, "--help"], 100)
    assert not re.search(r"list\[|<(str|int|float|path)|Usage.*\{", shown)


def test_every_command_has_its_heading() -> None:
    named = [name for names in PANELS.values() for name in names]
    assert len(named) == len(set(named))
    assert set(named) <= set(COMMANDS)
    shown = capture(["--help"], 80)
    assert all(re.search(rf"^  {name} ", shown, re.MULTILINE) for name in COMMANDS)


def test_an_example_can_be_pasted() -> None:
    shown = capture(["run", "--help"], 80)
    (pasted,) = re.findall(r"^  (evalkit run .*--data .*\n.*)$", shown, re.MULTILINE)
    assert "--prompt 'Q: {{question}}\\nA:'" in pasted
    assert pasted.splitlines()[0].endswith("\\")
