"""A run that is killed while it tests programs leaves none at work, and goes on with its answers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from sandbox.jails import jail_or_skip

import evalkit

TASK = """
name: slow_shout
version: "1.0"
description: A function whose programs take a while.
dataset: {path: rows.jsonl}
kind: generate
process: task.py:process
prompt: "{{ start }}"
target: solution
generation: {until: ["\\ndef"], max_tokens: 64}
metrics:
  - {metric: code_pass_at_k, name: pass@1, args: {k: 1}}
"""
PROCESS = """
def process(row):
    return {**row, "check": {"before": row["start"], "tests": ["assert shout('a') == 'A'"], "names": ["shout"]}}
"""


def below(parent: int) -> list[psutil.Process]:
    try:
        return psutil.Process(parent).children(recursive=True)
    except psutil.Error:
        return []


@pytest.mark.slow
def test_a_run_killed_while_programs_run(tmp_path: Path) -> None:
    jail_or_skip()
    folder = tmp_path / "tasks" / "slow_shout"
    folder.mkdir(parents=True)
    (folder / "task.yaml").write_text(TASK, "utf-8")
    (folder / "task.py").write_text(PROCESS, "utf-8")
    rows = [{"start": f"# {number}\ndef shout(text):\n", "solution": ""} for number in range(3)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    program = "    import time\n    time.sleep(3)\n    return text.upper()\n"
    (tmp_path / "script.json").write_text(json.dumps([{"text": program}]), "utf-8")
    command = [sys.executable, "-m", "evalkit", "run", "--model", "mock", "--model_args", "script=script.json"]
    command += ["--tasks", "slow_shout", "--include-path", "tasks", "--allow-code-execution", "--output", "run"]
    running = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    at_work: list[psutil.Process] = []
    while len(at_work) < 3:  # the sandbox is proved first, by programs that end at once
        assert running.poll() is None
        at_work = [one for one in below(running.pid) if one.is_running() and time.time() - one.create_time() > 1]
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not (tmp_path / "run" / "results.json").exists()
    psutil.wait_procs(at_work)  # a process that stays is found by the test's time-out
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "(3 already answered)" in done.stderr
    assert evalkit.load_run(tmp_path / "run")["slow_shout"]["pass@1"].value == 1.0
