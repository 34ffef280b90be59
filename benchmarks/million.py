"""A whole run of very many items, from rows to report: seconds and the peak of memory, of the process that ran it.

    python benchmarks/million.py                      # 1,000,000 items that are generated: about eight minutes
    python benchmarks/million.py --items 100000 --kind multiple_choice

`evalkit run` on the mock model, in a process of its own, with a task and rows that are made here: the command writes
journal, samples, results.json and the report. Nothing is left behind unless --keep names a folder.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

KINDS = {
    "generate": {
        "target": "{{ answer }}",
        "generation": {"until": ["\n"], "max_tokens": 16},
        "metrics": [{"metric": "exact_match"}],
    },
    "multiple_choice": {
        "choices": "{{ [answer, other] }}",
        "target": 0,
        "metrics": [{"metric": "acc"}, {"metric": "acc_norm"}],
    },
}


def main() -> None:
    """Make the rows, run, print JSON."""
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(measure(options.items, options.kind, options.keep or Path(scratch)), indent=2))


WATCH = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=sys.stderr).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""
"""Runs a command and prints its exit code and peak of resident bytes (Linux counts in KiB, macOS in bytes). It is a
process of its own: a child's peak begins at that of the process which starts it, and counts with its other children's.
"""


def measure(items: int, kind: str, folder: Path) -> dict[str, Any]:
    """Seconds, peak of memory and sizes of files (bytes) of one run of ``items`` items. RuntimeError if it fails."""
    _write(items, kind, folder)
    command = [sys.executable, "-m", "evalkit", "run", "--model", "mock", "--tasks", "many"]
    command += ["--include-path", str(folder / "tasks"), "--data-dir", str(folder / "data")]
    command += ["--output", str(folder / "run")]
    before = _children_seconds()
    started = time.perf_counter()
    environment = {**os.environ, "EVALKIT_CACHE": str(folder / "cache")}
    with (folder / "log.txt").open("w") as log:
        watched = [sys.executable, "-c", WATCH, *command]
        ended = subprocess.run(watched, stdout=subprocess.PIPE, stderr=log, env=environment, check=False, text=True)
    code, peak = map(int, ended.stdout.split())
    seconds = time.perf_counter() - started
    if code:
        raise RuntimeError(f"exit code {code}: {(folder / 'log.txt').read_text()[-2000:]}")
    run = folder / "run"
    counted = json.loads((run / "results.json").read_bytes())
    return {
        "items": items,
        "kind": kind,
        "seconds": round(seconds, 1),
        "processor_seconds": round(_children_seconds() - before, 1),
        "peak_bytes": peak,
        "bytes_an_item": round(peak / items),
        "seconds_of": {name: round(value, 1) for name, value in _parts(counted).items()},
        "files": {file.name: file.stat().st_size for file in sorted(run.rglob("*")) if file.is_file()},
    }


def _parts(results: dict[str, Any]) -> dict[str, float]:
    found = results.get("evalkit", results)
    return dict(found.get("counters", {}).get("seconds", {}))


def _write(items: int, kind: str, folder: Path) -> None:
    rows = folder / "data" / "made" / "many" / "default"
    rows.mkdir(parents=True, exist_ok=True)
    with (rows / "test.jsonl").open("w", encoding="utf-8") as file:
        for number in range(items):
            row = {"question": f"How much is {number} and {number % 97}?", "answer": str(number + number % 97)}
            file.write(json.dumps({**row, "other": str(number)}) + "\n")
    task = folder / "tasks" / "many"
    task.mkdir(parents=True, exist_ok=True)
    definition = {
        "name": "many",
        "version": "1.0",
        "description": "Sums, very many of them.",
        "dataset": {"id": "made/many", "config": "default", "revision": None, "splits": {"eval": "test"}},
        "kind": kind,
        "prompt": "Question: {{ question }}\nAnswer:",
        **KINDS[kind],
    }
    (task / "task.yaml").write_text(json.dumps(definition), encoding="utf-8")


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--kind", choices=list(KINDS), default="generate")
    parser.add_argument("--keep", type=Path, help="a folder for rows and run, left there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
