"""What the journal costs, and how much memory a million requests take.

    python benchmarks/journal.py                          # the full sizes: about four minutes
    python benchmarks/journal.py --requests 10000 --model-seconds 6 --million 100000

Three measurements:

* overhead: the mock backend answers ``--requests`` scoring requests at the pace of ``--model-seconds`` of model time,
  once without and once with a journal. Reported is the difference in wall time, and the difference in processor time:
  the latter is the honest upper bound, for a model that leaves no processor free while it computes.
* store: ``--million`` answers put into one journal as fast as it takes them, read back, and checked.
* plan and store: ``--million`` requests through the whole engine (encoding, keys, planning, batching) into a journal.

Memory is the process's peak resident size above what the requests themselves take. Each measurement runs in a process
of its own, so that one does not hide the other's peak.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.backends.mock import MockBackend, load
from evalkit.contract.backend import LoglikelihoodResult, LoglikelihoodRow, RowResult
from evalkit.contract.types import Response, Score
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.store import Journal
from evalkit.store.identity import score_key

BATCH = 64
PROMPT_TOKENS = (60, 900)
"""Shortest and longest prompt of a five-shot multiple-choice run."""
Result = dict[str, Any]


def main() -> None:
    """Measure, print a table, and write JSON where asked."""
    options = _options()
    jobs: dict[str, tuple[Callable[..., Result], tuple[Any, ...]]] = {
        "overhead": (overhead, (options.requests, options.model_seconds)),
        "store": (store, (options.million,)),
        "plan_and_store": (plan_and_store, (options.million,)),
    }
    measured: Result = {"machine": _machine()}
    for name in options.only or jobs:
        job, values = jobs[name]
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            measured[name] = pool.apply(job, values)
        _show(name, measured[name])
    text = json.dumps(measured, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


def overhead(requests: int, model_seconds: float) -> Result:
    """Wall and processor seconds of the same paced work without and with a journal."""
    delay = model_seconds * BATCH / requests
    with tempfile.TemporaryDirectory() as folder:
        without = _paced(requests, delay, None)
        path = Path(folder) / "journal.sqlite"
        with_journal = _paced(requests, delay, path)
        with Journal(path) as journal:
            kept = journal.count()
        size = path.stat().st_size
    assert kept == requests, f"{kept} of {requests} answers were kept"
    cpu = with_journal["cpu_s"] - without["cpu_s"]
    wall = with_journal["wall_s"] - without["wall_s"]
    return {
        "requests": requests,
        "model_s": model_seconds,
        "without": without,
        "with": with_journal,
        "wall_overhead_percent": round(100 * wall / model_seconds, 3),
        "cpu_overhead_percent": round(100 * cpu / model_seconds, 3),
        "cpu_us_per_request": round(1e6 * cpu / requests, 2),
        "journal_bytes_per_request": round(size / requests, 1),
    }


def _paced(requests: int, delay: float, path: Path | None) -> Result:
    backend = _mock(batch_delay_s=delay)
    rng = np.random.default_rng(7)
    journal = Journal(path) if path else None
    started, cpu_started = time.perf_counter(), time.process_time()
    for begin in range(0, requests, BATCH):
        lengths = rng.integers(*PROMPT_TOKENS, size=min(BATCH, requests - begin))
        rows = [LoglikelihoodRow(rng.integers(2, 30_000, size=n, dtype=np.int32), int(n) - 2) for n in lengths]
        # Keys are made in both runs: the planner needs them to drop duplicates, journal or not.
        keys = [score_key(backend.info.fingerprint, row.tokens, row.start) for row in rows]
        backend.score(rows, _keep(journal, keys, lengths))
    if journal is not None:
        journal.close()
    return {
        "wall_s": round(time.perf_counter() - started, 3),
        "cpu_s": round(time.process_time() - cpu_started, 3),
    }


def _keep(journal: Journal | None, keys: list[str], lengths: Any) -> Callable[[int, RowResult | Exception], None]:
    def done(index: int, answer: RowResult | Exception) -> None:
        assert isinstance(answer, LoglikelihoodResult)
        response = Response(
            loglikelihood=answer.loglikelihood, is_greedy=answer.is_greedy, prompt_tokens=int(lengths[index])
        )
        if journal is not None:
            journal.put(keys[index], response)

    return done


def store(count: int) -> Result:
    """Put, close, read back and check ``count`` answers of a journal."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        base = _peak_mb()
        started = time.perf_counter()
        with Journal(path) as journal:
            for n in range(count):
                journal.put(_key(n), _answer(n))
        put_s = time.perf_counter() - started
        put_peak = _peak_mb() - base
        started = time.perf_counter()
        with Journal(path) as journal:
            for begin in range(0, count, 50_000):
                asked = range(begin, min(begin + 50_000, count))
                found = journal.get(_key(n) for n in asked)
                assert all(found[_key(n)] == _answer(n) for n in asked), "an answer came back changed"
        return {
            "answers": count,
            "put_s": round(put_s, 2),
            "answers_per_s": round(count / put_s),
            "read_and_check_s": round(time.perf_counter() - started, 2),
            "peak_mb_above_start": round(put_peak, 1),
            "file_mb": round(path.stat().st_size / 1e6, 1),
        }


def _key(n: int) -> str:
    return score_key("benchmark", (n & 0xFFFF, n >> 16), 1)


def _answer(n: int) -> Response:
    return Response(loglikelihood=-(n % 997) / 7, is_greedy=n % 3 == 0, prompt_tokens=n % 900, output_tokens=1)


def plan_and_store(count: int) -> Result:
    """``count`` requests through the engine into a journal, nothing waiting for a model."""
    from evalkit.engine import answer
    from evalkit.runner.progress import Silent

    backend = _mock(tokenizer="word")
    requests = list(_requests(count))
    base = _peak_mb()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        started = time.perf_counter()
        with Journal(path) as journal:
            responses = answer(backend, requests, journal, EngineSpec(), Silent())
            journal.flush()
            kept = journal.count()
        seconds = time.perf_counter() - started
        size = path.stat().st_size
    failed = sum(response.status != "ok" for response in responses)
    assert not failed, f"{failed} requests failed"
    above = _peak_mb() - base
    return {
        "requests": count,
        "answers_kept": kept,
        "seconds": round(seconds, 2),
        "requests_mb": round(base, 1),
        "peak_mb_above_requests": round(above, 1),
        "peak_bytes_per_request": round(above * 1e6 / count),
        "file_mb": round(size / 1e6, 1),
    }


def _requests(count: int) -> Iterator[Score]:
    """Four choices a question, five shots shared by all questions, as mmlu has them."""
    shots = "".join(f"Question {n}: which letter is number {n}?\nAnswer: {'ABCD'[n % 4]}\n\n" for n in range(5))
    for n in range((count + 3) // 4):
        context = f"{shots}Question {n + 10}: which letter is number {n * 7919 % 1_000_003}?\nAnswer:"
        for choice in "ABCD"[: min(4, count - 4 * n)]:
            yield Score(context, f" {choice}")


def _mock(**args: Any) -> MockBackend:
    return load(ModelSpec(name="mock", args=args), EngineSpec())


def _peak_mb() -> float:
    """Peak resident size of this process in MB (Linux counts in KiB, macOS in bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _machine() -> Result:
    from evalkit.store.environment import collect

    found = collect()
    return {name: found[name] for name in ("cpu", "memory_bytes", "python", "packages", "git")}


def _show(name: str, result: Result) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "value", title=name)
    for key, value in result.items():
        table.add_row(key, str(value))
    Console(stderr=True).print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000, help="paced requests of the overhead measurement")
    parser.add_argument("--model-seconds", type=float, default=60.0, help="model time of all of them")
    parser.add_argument("--million", type=int, default=1_000_000, help="answers of the other measurements")
    parser.add_argument("--only", action="append", choices=["overhead", "store", "plan_and_store"])
    parser.add_argument("--output", type=Path, help="write the JSON here too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
