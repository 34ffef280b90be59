"""docs/files.md: its examples run as they are written, and its tables name what a run's files hold."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "files.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the page's shell commands were run, and a run "runs/mine"."""
    folder = tmp_path_factory.mktemp("page")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    (script,) = blocks("sh")
    mine = "evalkit run --model mock --tasks boolq@bundled --output runs/mine --quiet\n"
    done = subprocess.run(["bash", "-euc", mine + script], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_outputs_made_elsewhere_are_scored(folder: Path) -> None:
    found = json.loads((folder / "runs" / "scored" / "results.json").read_text())
    targets = pq.read_table(folder / "runs" / "asked" / "samples" / "boolq.parquet")["target"].to_pylist()
    assert found["results"]["boolq"]["acc,none"] == targets.count("1") / 24  # the second choice was the likelier one


@pytest.mark.parametrize("number", range(2))
def test_the_python_examples_run(folder: Path, number: int) -> None:
    done = subprocess.run([sys.executable, "-c", blocks("python")[number]], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_tables_name_every_column_and_key(folder: Path) -> None:
    samples, results = (PAGE.partition("## Samples")[2], PAGE.partition("## results.json")[2])
    for column in pq.read_schema(folder / "runs" / "mine" / "samples" / "boolq.parquet").names:
        assert f"`{column}`" in samples, column
    own = json.loads((folder / "runs" / "mine" / "results.json").read_text())["evalkit"]
    for key in [*own, *own["tasks"][0]["metrics"][0]]:
        assert f"`{key}`" in results, key
