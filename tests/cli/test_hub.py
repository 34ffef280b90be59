"""Data sets and models of the Hub as the README has them, against a stand-in that the real client asks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit import load_run
from tests.hub import hub

pytestmark = pytest.mark.slow

QUIZ = [
    {"question": f"What comes after {n}?", "subject": "anatomy", "choices": ["0", str(n + 1), "x", "y"], "answer": 1}
    for n in range(8)
]


def shell(tmp_path: Path, url: str, *line: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if name not in ("EVALKIT_DATA_DIR", "HF_HUB_OFFLINE")
    }
    environment |= {"HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "home"), "HF_DATASETS_OFFLINE": "0"}
    return subprocess.run(
        [sys.executable, "-m", "evalkit", *line], cwd=tmp_path, env=environment, capture_output=True, text=True
    )


def test_a_pulled_mirror_is_run_from(tmp_path: Path) -> None:
    with hub({"cais/mmlu": {"anatomy": {"dev": QUIZ[:5], "test": QUIZ}}}) as (url, asked):
        pulled = shell(tmp_path, url, "data", "pull", "mmlu_anatomy", "--to", "mirror")
        assert pulled.returncode == 0, pulled.stderr
        assert "wrote cais/mmlu/anatomy/test.jsonl (8 rows)" in pulled.stdout
        assert any("/resolve/" in line for line in asked)
        missing = shell(tmp_path, url, "data", "pull", "mmlu_virology", "--to", "mirror")
    assert missing.returncode == 2
    assert "virology" in missing.stderr
    assert "Traceback" not in missing.stderr
    run = shell(
        tmp_path, "http://127.0.0.1:9", "run", "--model", "mock", "--tasks", "mmlu_anatomy", "--data-dir", "mirror",
        "--output", "run",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert load_run(tmp_path / "run")["mmlu_anatomy"]["acc"].n == 8


def test_what_is_made_here_needs_no_hub(tmp_path: Path) -> None:
    done = shell(tmp_path, "http://127.0.0.1:9", "data", "pull", "calendar_arithmetic", "--to", "mirror")
    assert done.returncode == 2
    assert "nothing to fetch" in done.stderr


@pytest.mark.parametrize(
    ("name", "words"),
    [("nosuchmodel", "model 'nosuchmodel' is not on the Hub"), ("nobody/nothing", "is not on the Hub"),
     ("gpt-4o-mini", "did you mean openai/gpt-4o-mini?"), ("anthropic/claude-3-haiku", "ANTHROPIC_API_KEY")],
)  # fmt: skip
def test_a_model_that_is_nowhere_is_told_before_data_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with hub({}) as (url, asked):
        done = shell(tmp_path, url, "run", "--model", name, "--tasks", "boolq", "--output", "out")
    assert done.returncode == 2
    assert words in done.stderr
    assert not any("/datasets/" in line for line in asked)
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
