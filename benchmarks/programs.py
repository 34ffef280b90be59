"""How long it takes to test many programs in the sandbox.

    python benchmarks/programs.py --data-dir DIR               # 1,640 programs: HumanEval's solutions, again and again
    python benchmarks/programs.py --data-dir DIR --programs 200 --workers 1,2

Every program has two sandboxes of its own, one for it and one for its tests (evalkit/sandbox/checking.py). Beside it,
what one sandbox costs that only starts Python and ends (--bare), so that the price of isolation is seen: a server that
forks warm processes inside one sandbox would save at most that, and let programs meet.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from itertools import cycle, islice
from pathlib import Path

from evalkit.metrics.base import ScoringInput
from evalkit.metrics.code import checks_of
from evalkit.sandbox import finding
from evalkit.sandbox.checking import Check, Verdict
from evalkit.sandbox.running import run
from evalkit.sandbox.workers import judge_all
from evalkit.task.rendering import load_code

FILE = "openai/openai_humaneval/openai_humaneval/test.jsonl"
PROCESS = Path(__file__).parents[1] / "tasks" / "humaneval" / "task.py"


def solutions(folder: Path) -> list[Check]:
    """HumanEval's own solutions, as the task tests them."""
    process = load_code(f"{PROCESS}:process", "benchmark")
    found = []
    for line in (folder / FILE).read_text("utf-8").splitlines():
        row = process(json.loads(line))
        item = ScoringInput(texts=(row["canonical_solution"],), document=row, args={"form": "continuation"})
        found += [check for check in checks_of(item) if isinstance(check, Check)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("EVALKIT_DATA_DIR") or None)
    parser.add_argument("--programs", type=int, default=1640)
    parser.add_argument("--workers", default="2", help="numbers, joined by commas")
    parser.add_argument("--bare", type=int, default=50, help="sandboxes that only start Python")
    chosen = parser.parse_args()
    if chosen.data_dir is None:
        parser.error("give --data-dir, the folder with the mirror of data sets")
    jail = finding.find()
    begun = time.perf_counter()
    for _ in range(chosen.bare):
        run(jail, ["true"])
    bare = (time.perf_counter() - begun) / chosen.bare if chosen.bare else 0.0
    print(f"{jail.name}: {1000 * bare:.1f} ms for a sandbox that starts Python and ends, one after another")
    checks = list(islice(cycle(solutions(chosen.data_dir)), chosen.programs))
    for workers in map(int, chosen.workers.split(",")):
        load = os.getloadavg()[0]
        begun = time.perf_counter()
        passed = sum(one == Verdict(True) for one in judge_all(jail, checks, workers))
        seconds = time.perf_counter() - begun
        each = 1000 * seconds / max(1, len(checks))
        print(f"{len(checks)} programs, {workers} at a time: {seconds:.1f} s, {each:.1f} ms each; {passed} passed")
        print(f"load before: {load:.1f}")


if __name__ == "__main__":
    main()
