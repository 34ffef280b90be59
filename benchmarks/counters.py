"""What the performance counters cost: seconds spent in them against the seconds of the work that they count.

    python benchmarks/counters.py --model smollm2-135m --output counters.json

Three measurements: (1) the price of each call of a meter and of its stopwatch, over many calls; (2) a real run's number
of such calls, times their price, beside the seconds of its passes; (3) the price of one look of the sampler thread,
times its looks a second. The sum is a share of the run's answering time, to be under 1 %. A server's requests are
priced the same way: one exchange a request, one look at the clock a piece of text.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evalkit.perf.clocks import Stopwatch, now
from evalkit.perf.memory import INTERVAL, Sampler
from evalkit.perf.meter import Exchange, Meter
from evalkit.runner.evaluate import execute
from evalkit.spec.models import RunSpec
from evalkit.store import RunDir

GAPS = (0.01,) * 31
LIMIT = 0.01


def price(call: Callable[[], Any], calls: int, repeats: int = 5) -> float:
    """Seconds of one call: the median over ``repeats`` of the mean over ``calls``, the empty loop included."""
    found = []
    for _ in range(repeats):
        started = now()
        for _ in range(calls):
            call()
        found.append((now() - started) / calls)
    return statistics.median(found)


def prices(calls: int) -> dict[str, float]:
    """Seconds of each kind of report, with the clock that is read for it."""
    meter, watch = Meter(), Stopwatch()
    one = Exchange(given=100, generated=32, cached=60, seconds=0.5, ttft=0.1, gaps=GAPS, decode_seconds=0.4)
    found = {
        "read": price(lambda: meter.read(100), calls),
        "prefill": price(lambda: meter.prefill(100, watch.lap()), calls),
        "first": price(lambda: meter.first(watch.lap()), calls),
        "decode": price(lambda: meter.step(8, watch.lap()), calls),
        "predict": price(lambda: meter.predict(1), calls),
        "exchange of 32 pieces": price(lambda: meter.exchange(one), max(1, calls // 20)),
    }
    with Sampler(interval=3600) as sampler:
        found["look of the sampler"] = price(sampler.look, max(1, calls // 100))
    return found


def measured(model: str, tasks: str, limit: int, folder: Path) -> dict[str, Any]:
    """A run's counters and the number of its raw durations by kind."""
    names = [{"name": name} for name in tasks.split(",")]
    spec = {"model": {"name": model}, "tasks": names, "sample": True, "limit": limit, "output": folder / "run"}
    counters = execute(RunSpec.model_validate(spec)).counters
    kinds = RunDir.open(folder / "run").performance()["kind"]
    return {"counters": counters, "calls": {kind: kinds.count(kind) for kind in sorted(set(kinds))}}


def overhead(costs: dict[str, float], run: dict[str, Any]) -> dict[str, float]:
    """Shares of the answering time: reports of passes (each with one more for what it plans and reads), sampler."""
    seconds = run["counters"]["seconds"]["answer"]
    calls = run["calls"]
    reports = calls.get("prefill", 0) * (costs["prefill"] + costs["read"] + costs["predict"])
    reports += calls.get("ttft", 0) * costs["first"] + calls.get("decode", 0) * costs["decode"]
    found = {"answer_seconds": seconds, "reports_seconds": reports, "reports_share": reports / seconds}
    found["sampler_share"] = costs["look of the sampler"] / INTERVAL
    found["share"] = found["reports_share"] + found["sampler_share"]
    return found


def main() -> int:
    """Measure, print, and say by the exit code whether the limit is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--tasks", default="mmlu_anatomy,triviaqa")
    parser.add_argument("--limit", type=int, default=8)
    parser.add_argument("--calls", type=int, default=200_000)
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    costs = prices(asked.calls)
    with tempfile.TemporaryDirectory() as folder:
        run = measured(asked.model, asked.tasks, asked.limit, Path(folder))
    shares = overhead(costs, run)
    for name, seconds in costs.items():
        print(f"{name:24} {seconds * 1e6:8.2f} µs")
    print(f"passes and steps         {json.dumps(run['calls'])} in {shares['answer_seconds']:.2f} s")
    print(f"reports                  {shares['reports_share']:.4%} of the answering time")
    print(f"sampler                  {shares['sampler_share']:.4%} of one processor")
    print(f"together                 {shares['share']:.4%} (limit {LIMIT:.0%})")
    if asked.output:
        asked.output.write_text(
            json.dumps({"prices_s": costs, "calls": run["calls"], "overhead": shares}, indent=2) + "\n"
        )
    return 0 if shares["share"] < LIMIT else 1


if __name__ == "__main__":
    raise SystemExit(main())
