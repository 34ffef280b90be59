"""Memory and latency as measured in the runs, where their counters have them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.render.figures import Bars, bars
from evalkit.render.view import Run

MEMORY = {
    "host_peak_bytes": "host, peak",
    "host_answer_peak_bytes": "host, peak of answering",
    "replicas_host_peak_bytes": "replicas, peaks together",
    "device_peak_allocated_bytes": "device, peak",
    "device_peak_reserved_bytes": "device, reserved",
    "weights_bytes": "weights",
    "predicted_beside_weights_bytes": "planned beside weights",
}
LATENCY = {
    "ttft": "first token",
    "per_token": "per token",
    "itl": "between pieces",
    "tpot": "per token of an answer",
    "e2e": "whole answer",
    "score": "scored request",
}
PERCENTILES = ("p50_s", "p90_s", "p99_s")
FEW_RUNS = 3
"""Beyond this many runs a plot of latencies shows medians alone, of what several runs have; the table of counters has
the rest.
"""


def performance_charts(runs: Sequence[Run]) -> list[Bars]:
    """Memory in GB, and percentiles of latencies in milliseconds, of runs side by side; one run's numbers stand under
    Performance.
    """
    if len(runs) < 2:
        return []
    memory = [_numbers(run.result.counters.get("memory")) for run in runs]
    names = [name for name in MEMORY if any(name in one for one in memory)]
    figures = []
    if names:
        rows = [{MEMORY[name]: one[name] / 1e9 for name in names if name in one} for one in memory]
        figures.append(_bars("Memory", "As measured in the run, in GB (1e9 bytes).", "GB", runs, rows))
    marks = PERCENTILES if len(runs) <= FEW_RUNS else PERCENTILES[:1]
    latency = [dict(_latencies(run.result.counters.get("latency"), marks)) for run in runs]
    if len(runs) > FEW_RUNS:
        shared = [name for name, times in Counter(name for one in latency for name in one).items() if times > 1]
        latency = [{name: one[name] for name in shared if name in one} for one in latency]
    if any(latency):
        note = "Median, 90th and 99th percentile, in milliseconds." if len(marks) > 1 else "Median, in milliseconds."
        figures.append(_bars("Latency", note, "ms", runs, latency))
    return figures


def _numbers(values: Any) -> dict[str, float]:
    found = values if isinstance(values, Mapping) else {}
    return {k: float(v) for k, v in found.items() if isinstance(v, int | float) and not isinstance(v, bool) and v > 0}


def _latencies(values: Any, marks: Sequence[str]) -> list[tuple[str, float]]:
    found = values if isinstance(values, Mapping) else {}
    return [
        (f"{title}, {mark.removesuffix('_s')}", 1000 * numbers[mark])
        for name, title in LATENCY.items()
        for mark in marks
        if mark in (numbers := _numbers(found.get(name)))
    ]


def _bars(title: str, note: str, unit: str, runs: Sequence[Run], rows: Sequence[Mapping[str, float]]) -> Bars:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return bars(
        title, note, unit, names, [(run.number, run.label, dict(row)) for run, row in zip(runs, rows, strict=True)]
    )
