"""`evalkit run --backend vllm` without the prefix cache, killed and resumed: the numbers of an unbroken run with it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from faults.lives import journaled
from vllm_runs import responses, samples

pytestmark = pytest.mark.model

TASKS = ["hellaswag@1shot", "summary_faithfulness"]
LIMIT = 8
"""Items of each: texts of a hundred tokens take longer than the second after which answers are committed."""


def command(folder: Path) -> list[str]:
    return [
        sys.executable, "-m", "evalkit", "run", "--model", "smollm2-135m", "--backend", "vllm", "--dtype", "float32",
        "--max_length", "1400", "--model_args", "enforce_eager=true", "--tasks", ",".join(TASKS), "--bundled",
        "--limit", str(LIMIT), "--no-share-prefixes", "--output", str(folder),
    ]  # fmt: skip


def answered(folder: Path) -> int:
    """Answers in the journal, read from a copy, for it is locked by its writer."""
    try:
        return len(journaled(folder))
    except sqlite3.DatabaseError:  # copied in the middle of a commit
        return 0


def test_killed_and_resumed_without_the_cache(engine: Any, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = subprocess.Popen(command(folder), start_new_session=True)
    deadline = time.monotonic() + 300
    while not answered(folder):
        assert process.poll() is None, "the run has ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = answered(folder)
    # What was scored was in the journal before texts were made; of those, as many as a fast machine had ready.
    assert 4 * LIMIT <= kept <= 5 * LIMIT
    assert not (folder / "results.json").exists()
    deadline = time.monotonic() + 60
    while group_lives(process.pid):  # vLLM's own process ends with the one that started it
        assert time.monotonic() < deadline, "vLLM's engine outlives a killed run"
        time.sleep(0.2)

    alone = {**os.environ, "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}  # no second process: it starts sooner
    resume = [sys.executable, "-m", "evalkit", "run", "--resume", str(folder)]
    done = subprocess.run(resume, capture_output=True, text=True, check=False, env=alone)
    assert done.returncode == 0, done.stderr[-2000:]
    assert answered(folder) == 5 * LIMIT
    results = json.loads((folder / "results.json").read_text())
    assert results["evalkit"]["model"]["details"]["scoring"] == "a request a row, without the prefix cache"

    resumed, unbroken = samples(folder), responses(engine, TASKS, tmp_path / "unbroken", limit=LIMIT)
    assert resumed["summary_faithfulness"] == unbroken["summary_faithfulness"]
    for mine, other in zip(resumed["hellaswag"], unbroken["hellaswag"], strict=True):
        assert mine[0] == pytest.approx(other[0], abs=1e-3)
        assert mine[1] == other[1]


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
