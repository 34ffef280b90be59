"""How much of a mock run is its report.

    python benchmarks/report.py                      # 5 runs with an empty cache, 5 with the cache that they filled
    python benchmarks/report.py --tasks boolq,piqa --repetitions 10 --json report.json

Each run is `evalkit run --model mock --tasks TASKS --bundled` in a process of its own. Reported are its wall time, from
the start of the process to its end, the seconds of writing the page within it (with what is imported only then), and
the processor time of both, which other work on the machine disturbs less. The median of the repetitions, and the
smallest.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CHILD = """
import json, sys, time
from pathlib import Path
import evalkit.render.report as report

plain = report.write_report
spent = {}

def timed(*args, **kwargs):
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        return plain(*args, **kwargs)
    finally:
        spent.update(report_s=time.perf_counter() - wall, report_cpu_s=time.process_time() - cpu)

report.write_report = timed
out = Path(sys.argv.pop(1))
from evalkit.cli import main
sys.argv[0] = "evalkit"
try:
    main()
finally:
    out.write_text(json.dumps(spent | {"cpu_s": time.process_time()}))
"""


def main() -> None:
    """Measure, print a table, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default="boolq")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        one_run(root / "first", root / "unused", options.tasks)  # reads the files of all packages into memory
        cold = [one_run(root / f"cold{n}", root / f"cache{n}", options.tasks) for n in range(options.repetitions)]
        warm = [one_run(root / f"warm{n}", root / "cache0", options.tasks) for n in range(options.repetitions)]
    measured = {"empty cache": summary(cold), "filled cache": summary(warm)}
    print(f"{'':14}{'wall s':>16}{'of it report':>16}{'cpu s':>16}{'of it report':>16}   median (smallest)")
    for name, numbers in measured.items():
        cells = (f"{numbers[key]['median']:.2f} ({numbers[key]['min']:.2f})" for key in numbers)
        print(f"{name:14}" + "".join(f"{cell:>16}" for cell in cells))
    if options.json:
        options.json.write_text(json.dumps({"tasks": options.tasks, "measured": measured}, indent=2) + "\n")


def one_run(output: Path, cache: Path, tasks: str) -> dict[str, float]:
    """One run's seconds."""
    note = output.with_suffix(".json")
    words = ["run", "--model", "mock", "--tasks", tasks, "--bundled", "--quiet", "--output", str(output)]
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", CHILD, str(note), *words],
        env=os.environ | {"EVALKIT_CACHE": str(cache)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return {"wall_s": time.perf_counter() - started} | json.loads(note.read_text())


def summary(runs: list[dict[str, float]]) -> dict[str, Any]:
    """Median and smallest of each number."""
    return {
        key: {"median": round(statistics.median(values), 3), "min": round(min(values), 3)}
        for key in ("wall_s", "report_s", "cpu_s", "report_cpu_s")
        for values in ([run[key] for run in runs],)
    }


if __name__ == "__main__":
    main()
