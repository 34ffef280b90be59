"""A line that cannot be read is told in one line, as every other mistake; a group without a command shows its help."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["run", "--modle", "x"], "run: no such option: --modle"),
        (["run", "--limit"], "option '--limit' requires an argument"),
        (["compare"], "compare: missing argument 'base'"),
        (["gate", "--baseline", "x"], "gate: missing option '--candidate'"),
        (["bench", "--repetitions", "many"], "bench: invalid value for '--repetitions'"),
        (["cache", "prun"], "cache: no such command 'prun'. Did you mean 'prune'?"),
        (["--frobnicate"], "no such option: --frobnicate"),
    ],
)
def test_one_line(line: list[str], words: str) -> None:
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"evalkit: error: {words}")
    assert done.stderr.rstrip().endswith("--help")


@pytest.mark.parametrize("line", [[], ["cache"], ["tasks"], ["judge"]])
def test_help_without_a_command(line: list[str]) -> None:
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 2
    assert done.stdout.startswith("Usage:")
    assert "\nCommands:\n" in done.stdout or "\nEvaluate:\n" in done.stdout
