"""What the environment or a repeatable flag said is part of the run: it goes on without them, and without that flag."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app

TASK = """
name: own
version: 1
dataset: {id: own/own, splits: {eval: test}}
kind: generate
prompt: "{{ q }}"
target: "{{ q }}"
metrics: [{metric: exact_match}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVALKIT_DATA_DIR", raising=False)
    (tmp_path / "tasks" / "own").mkdir(parents=True)
    (tmp_path / "tasks" / "own" / "task.yaml").write_text(TASK)
    (tmp_path / "data" / "own" / "own" / "default").mkdir(parents=True)
    (tmp_path / "data" / "own" / "own" / "default" / "test.jsonl").write_text('{"q": "a"}\n{"q": "b"}\n')
    return tmp_path


def call(*line: str) -> str:
    done = CliRunner().invoke(app, list(line))
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("how", ["flags", "file", "file and flags"])
def test_a_run_goes_on_with_what_it_began_with(folder: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setenv("EVALKIT_DATA_DIR", str(folder / "data"))
    (folder / "c.yaml").write_text("model: mock\ntasks: own\ninclude_path: tasks\nmetrics: [distinct_1]\noutput: out\n")
    flags = [
        "--model",
        "mock",
        "--tasks",
        "own",
        "--include-path",
        "tasks",
        "--metrics",
        "distinct_1",
        "--output",
        "out",
    ]
    lines = {"flags": flags, "file": ["--config", "c.yaml"], "file and flags": ["--config", "c.yaml", "--limit", "2"]}
    call("run", *lines[how])
    monkeypatch.delenv("EVALKIT_DATA_DIR")
    spec = json.loads((folder / "out" / "spec.json").read_text())
    assert spec["data_dir"] == str(folder / "data")
    call("run", "--resume", "out")
    call("run", "--resume", "out", "--max-error-rate", "0.5")
    call("run", "--resume", "out", "--config", "c.yaml", *(("--limit", "2") if "and" in how else ()))
    call("retry", "out")
    kept = json.loads((folder / "out" / "spec.json").read_text())
    assert [kept[key] for key in ("include_path", "metrics")] == [["tasks"], ["distinct_1"]]
    assert "distinct_1,none" in json.loads((folder / "out" / "results.json").read_text())["results"]["own"]
