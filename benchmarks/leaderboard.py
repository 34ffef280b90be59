"""How long a board of many runs takes to build, and how much memory: python benchmarks/leaderboard.py [RUNS].

Entries are generated (seeded): 60 results each, as a run with MMLU's subjects has, of which the board shows 12.
The build runs in a process of its own; its peak is what the kernel says of it (ru_maxrss).
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from evalkit.leaderboard.entry import Entry, Model, Result, Score, write_entry

TASKS = [f"task_{number:02d}" for number in range(60)]
SHOWN = 12
TARGET_SECONDS, TARGET_BYTES = 30.0, 1e9


def make_entries(folder: Path, count: int) -> None:
    """``count`` entries of different models."""
    generator = random.Random(1234)
    for number in range(count):
        skill = generator.random()
        results = {}
        for task in TASKS:
            value = min(max(generator.gauss(skill, 0.1), 0.01), 0.99)
            stderr = (value * (1 - value) / 1000) ** 0.5
            bounds = (max(value - 1.96 * stderr, 0.0), min(value + 1.96 * stderr, 1.0))
            score = Score(
                value=value, stderr=stderr, interval=bounds, n=1000, proportion=True, signature="acc|agg:mean"
            )
            metrics = {"acc,none": score, "acc_norm,none": score}
            results[task] = Result(
                version="1", num_fewshot=0, n=1000, n_total=1000, primary="acc,none", metrics=metrics
            )
        model = Model(
            name=f"org/model-{number:05d}",
            type=generator.choice(["pretrained", "fine-tuned", "instruction-tuned"]),
            parameters=10 ** generator.uniform(8, 11),
            precision=generator.choice(["bfloat16", "float16", "float32"]),
            quantization=generator.choice(["", "", "int8", "nf4"]),
            fingerprint=f"{number:064x}",
        )
        date = f"2026-{generator.randint(1, 12):02d}-{generator.randint(1, 28):02d}T12:00:00"
        write_entry(Entry(model=model, date=date, results=results, evalkit="benchmark"), folder)


def board_file(folder: Path) -> Path:
    """A board of the first SHOWN tasks."""
    columns = [{"title": task, "task": task, "metric": "acc,none"} for task in TASKS[:SHOWN]]
    path = folder / "board.yaml"
    path.write_text(json.dumps({"name": "benchmark", "title": "Benchmark", "columns": columns}))
    return path


def main() -> None:
    """Make the entries, build the site, print one JSON line; exit code 1 above a target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="?", type=int, default=1000)
    parser.add_argument("--keep", type=Path, help="keep the entries and the site in this folder")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.keep or Path(scratch)
        make_entries(folder / "entries", chosen.runs)
        command = [sys.executable, "-m", "evalkit", "leaderboard", "build", str(folder / "entries")]
        command += ["--board", str(board_file(folder)), "--out", str(folder / "site")]
        begin = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - begin
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        index = (folder / "site" / "index.html").stat().st_size
    good = seconds < TARGET_SECONDS and peak < TARGET_BYTES
    found = {"runs": chosen.runs, "seconds": round(seconds, 2), "peak_mb": round(peak / 1e6), "index_mb": index / 1e6}
    print(json.dumps(found | {"within_target": good}))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
