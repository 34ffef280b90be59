"""docs/logging.md: its commands run as they are written, its place of one's own works, its table names every place."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.contract import registry
from evalkit.publish import sinks

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "logging.md").read_text("utf-8")


def block(language: str) -> str:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[0]


def test_the_commands_run_and_a_place_of_ones_own_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-euc", block("sh")], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "all.csv").open()))
    assert {row["task"] for row in rows} == {"boolq", "triviaqa"}
    assert len({(row["task"], row["metric"]) for row in rows}) == len(rows)
    assert (tmp_path / "card.md").read_text().startswith("---\nmodel-index:")
    import evalkit

    space: dict[str, sinks.Log] = {}
    exec(block("python"), space)
    monkeypatch.chdir(tmp_path)
    assert space["log"](evalkit.load_run(tmp_path / "runs" / "mine"), {"where": "a.jsonl"}, False) == "diary: a.jsonl"
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == len(rows)


def test_every_place_is_in_the_table() -> None:
    for name in registry.names(registry.SINKS):
        assert f"| `{name}[" in PAGE or f"| `{name}:" in PAGE
