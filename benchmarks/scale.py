"""What scaling out costs and brings: one replica against several, the scheduler's own speed, and the planner's memory.

    python benchmarks/scale.py                              # all, with the mock model: about two minutes
    python benchmarks/scale.py --only replicas --model smollm2-135m --requests 200
    python benchmarks/scale.py --only plan --rows 1000000

* replicas: the same requests answered by one and by ``--replicas`` replicas; the ratio of the times, loading left out.
  The mock model sleeps for each token, so it shows what the scheduler loses; a real model on one machine also shows
  what the replicas take from each other (they divide the cores).
* overhead: rows a second through workers that compute nothing: the most that one driver can hand out and take back.
* plan: seconds and memory of planning ``--rows`` made-up rows (five-shot multiple choice), and cutting them into units.

Each measurement runs in a process of its own, so that one does not hide the other's peak of memory.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from evalkit.backends.opening import resolve
from evalkit.contract.backend import LoglikelihoodRow, TokenBackend
from evalkit.engine.executors import Replicated, open_replicas
from evalkit.engine.plan import PrefixPlan
from evalkit.engine.units import split
from evalkit.spec.models import EngineSpec, ModelSpec

Result = dict[str, Any]
Executor = Literal["local", "ray"]
SHOTS, QUESTION, CHOICES = 400, 60, 4
"""Tokens of the five examples and of a question, and choices a question, of a made-up task like mmlu."""


def main() -> None:
    """Measure, and print JSON."""
    options = _options()
    jobs: dict[str, tuple[Callable[..., Result], tuple[Any, ...]]] = {
        "replicas": (replicas, (options.executor, options.replicas, options.model, options.requests)),
        "overhead": (overhead, (options.executor, options.replicas, options.rows // 10)),
        "plan": (plan, (options.rows,)),
    }
    measured: Result = {"cores": len(_cores())}
    for name in options.only or jobs:
        measured[name] = _alone(*jobs[name])
        print(f"{name}: {json.dumps(measured[name])}", file=sys.stderr)
    text = json.dumps(measured, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


def replicas(executor: Executor, count: int, name: str, requests: int) -> Result:
    """Seconds of the same rows on one replica and on ``count``."""
    model = resolve(ModelSpec(name=name, args={"delay_s": 2e-5} if name == "mock" else {}))
    rows = _rows(requests, tasks=8)
    seconds = {number: _timed(model, EngineSpec(executor=executor, replicas=number), rows) for number in (1, count)}
    return {
        "executor": executor,
        "model": name,
        "rows": len(rows),
        "units": len(split([row.tokens[:-1] for row in rows], count)),
        "seconds_one": round(seconds[1], 2),
        f"seconds_{count}": round(seconds[count], 2),
        "ratio": round(seconds[1] / seconds[count], 2),
    }


def overhead(executor: Executor, count: int, rows: int) -> Result:
    """Rows a second through replicas of a mock model that costs next to nothing."""
    model = resolve(ModelSpec(name="mock"))
    work = _rows(rows, tasks=57, shots=16, question=8)
    seconds = _timed(model, EngineSpec(executor=executor, replicas=count), work)
    return {"executor": executor, "replicas": count, "rows": len(work), "rows_per_s": round(len(work) / seconds)}


def _timed(model: ModelSpec, engine: EngineSpec, rows: list[LoglikelihoodRow]) -> float:
    backend = open_replicas(model, engine)
    try:
        _wait_for_all(backend)
        left = len(rows)

        def done(index: int, result: object) -> None:
            nonlocal left
            assert not isinstance(result, Exception), result
            left -= 1

        backend.score(_warm(backend), lambda index, result: None)
        started = time.perf_counter()
        backend.score(rows, done)
        seconds = time.perf_counter() - started
        assert left == 0, f"{left} rows were not answered"
        return seconds
    finally:
        backend.close()


def _wait_for_all(backend: Replicated) -> None:
    """Replicas join when they have loaded; a fair start waits for the last."""
    while backend.fleet.ready < backend.fleet.size:
        backend.fleet.wait()


def _warm(backend: TokenBackend) -> list[LoglikelihoodRow]:
    tokens = np.full(16, backend.eot_id + 2, dtype=np.int32)
    return [LoglikelihoodRow(tokens, 8)]


def plan(count: int) -> Result:
    """Seconds and memory of planning and cutting ``count`` rows."""
    rows = _rows(count, tasks=57)
    sequences = [row.tokens[:-1] for row in rows]
    reads = [(row.start - 1, row.tokens[row.start :]) for row in rows]
    base = _peak()
    started = time.perf_counter()
    planned = PrefixPlan(sequences, reads)
    seconds = time.perf_counter() - started
    peak = _peak() - base
    started = time.perf_counter()
    units = split(sequences, workers=8)
    cutting = time.perf_counter() - started
    return {
        "rows": len(rows),
        "tokens_given": planned.tokens_given,
        "tokens_computed": planned.tokens_computed,
        "rows_mb": round(base / 1e6),
        "plan_seconds": round(seconds, 1),
        "plan_bytes_per_row": round(peak / len(rows)),
        "split_seconds": round(cutting, 1),
        "units": len(units),
        "tokens_in_units": sum(unit.tokens for unit in units),
    }


def _rows(count: int, tasks: int, shots: int = SHOTS, question: int = QUESTION) -> list[LoglikelihoodRow]:
    """Multiple choice: the choices of a question differ in one token, the questions of a task share its shots."""
    draw = np.random.default_rng(0)
    heads = [draw.integers(10, 250, shots, dtype=np.int32) for _ in range(tasks)]
    found: list[LoglikelihoodRow] = []
    while len(found) < count:
        own = draw.integers(10, 250, question, dtype=np.int32)
        head = heads[len(found) // CHOICES % tasks]
        for choice in range(min(CHOICES, count - len(found))):
            tokens = np.concatenate([head, own, np.array([10 + choice], dtype=np.int32)])
            found.append(LoglikelihoodRow(tokens, len(tokens) - 1))
    return found


def _peak() -> int:
    """Peak resident bytes of this process (Linux counts in KiB, macOS in bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _cores() -> list[int]:
    import psutil

    process = psutil.Process()
    found: list[int] = process.cpu_affinity() if hasattr(process, "cpu_affinity") else list(range(psutil.cpu_count()))
    return found


def _alone(job: Callable[..., Result], values: tuple[Any, ...]) -> Result:
    """The job's result, from a process of its own (which may have children of its own)."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_report, args=(there, job, values))
    process.start()
    there.close()
    try:
        result: Result = here.recv()
    except EOFError:
        raise SystemExit(f"{job.__name__} failed") from None
    process.join()
    return result


def _report(there: Any, job: Callable[..., Result], values: tuple[Any, ...]) -> None:
    there.send(job(*values))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executor", choices=["local", "ray"], default="local")
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--model", default="mock", help="of the measurement `replicas`")
    parser.add_argument("--requests", type=int, default=2_000, help="rows of the measurement `replicas`")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of `plan`; a tenth of them for `overhead`")
    parser.add_argument("--only", action="append", choices=["replicas", "overhead", "plan"])
    parser.add_argument("--output", type=Path, help="write the JSON here too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
