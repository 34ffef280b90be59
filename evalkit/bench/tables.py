"""A bench or an estimate as rows for a terminal, Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from evalkit.bench.bench import Bench, Measured
from evalkit.bench.estimate import Estimate
from evalkit.bench.server import ServerBench
from evalkit.perf import formats
from evalkit.perf.cores import usable_cores
from evalkit.text import numbers

COLUMNS = ("model", "size", "params", "backend", "device", "dtype", "threads", "batch", "test", "t/s")
"""llama-bench's columns, with device and type of ours."""
LATENCY = ("test", "batch", "what", "n", "mean", "p50", "p90", "p99")


def size(value: float | None) -> str:
    """Bytes in binary units, as llama-bench writes them."""
    if value is None:
        return numbers.MISSING
    for power, name in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if abs(value) >= power:
            return f"{value / power:.2f} {name}"
    return f"{value:.0f} B"


def speed(test: Measured) -> str:
    """ "123.45 ± 0.67"."""
    return f"{test.mean:.2f}" + (f" ± {test.deviation:.2f}" if test.deviation is not None else "")


def rows(done: Bench) -> list[list[str]]:
    """One row a test, in `COLUMNS`."""
    model, count = done.model, done.model["n_parameters"]
    params = f"{count / 1e6:.2f} M" if count and count < 1e9 else f"{count / 1e9:.2f} B" if count else numbers.MISSING
    held = size(done.memory.get("weights_bytes"))
    return [
        [
            model["name"], held, params, model["backend"], model["device"], model["dtype"], str(threads()),
            str(test.batch), test.name, speed(test),
        ]
        for test in done.tests
    ]  # fmt: skip


def threads() -> int:
    """Threads that torch computes with; without torch the processors of this process."""
    import sys

    torch = sys.modules.get("torch")
    return int(torch.get_num_threads()) if torch is not None else usable_cores()


def latency_rows(done: Bench) -> list[list[str]]:
    """One row a test and kind of latency, in `LATENCY`."""
    return [
        [test.name, str(test.batch), what.upper(), str(found["n"])]
        + [numbers.seconds(found[f"{name}_s"]) for name in ("mean", "p50", "p90", "p99")]
        for test in done.tests
        for what, found in test.latencies.items()
    ]


def facts(done: Bench) -> list[list[str]]:
    """What was predicted beside what was measured, and the rest: name and text."""
    found = [["load", numbers.seconds(done.load_seconds)]]
    guessing = [test for test in done.tests if test.proposed]
    found += [[f"guesses accepted, {test.name}", f"{test.accepted / test.proposed:.0%}"] for test in guessing]
    if done.prediction:
        found.append(["weights, predicted", size(done.prediction["weight_bytes"])])
    found.append(["weights, measured", size(done.memory.get("weights_bytes"))])
    if done.prediction:
        found.append(["peak, predicted (with weights)", size(done.prediction["total_bytes"])])
        found.append(["keys and values of a token", size(done.prediction["kv_bytes_per_token"])])
    found.append(["host memory, peak of the process", size(done.memory["host_peak_bytes"])])
    for name in ("device_peak_allocated_bytes", "device_peak_reserved_bytes"):
        if name in done.memory:
            found.append([name.removesuffix("_bytes").replace("_", " "), size(done.memory[name])])
    busy = {name: value for name, value in done.utilisation.items() if name != "cpu_cores" and value is not None}
    found += [[f"utilisation, {name}", f"{value:.0%}"] for name, value in busy.items()]
    for name, value in done.energy.items():
        found.append([f"energy, {name.replace('_', ' ')}", value if isinstance(value, str) else f"{value:,.4g}"])
    return found


def as_json(done: Bench) -> str:
    """Everything, raw values included."""
    plain = {"format": formats.BENCH, **asdict(done)}
    for row, test in zip(plain["tests"], done.tests, strict=True):
        row |= {"tokens_per_s": list(test.speeds), "mean": test.mean, "standard_deviation": test.deviation}
    return json.dumps(plain, indent=2, default=str)


def as_csv(done: Bench) -> str:
    """One line a test: mean and deviation apart, raw values joined by spaces."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*COLUMNS[:-1], "avg_ts", "stddev_ts", "samples_ts"])
    for row, test in zip(rows(done), done.tests, strict=True):
        deviation = "" if test.deviation is None else f"{test.deviation:.6g}"
        writer.writerow([*row[:-1], f"{test.mean:.6g}", deviation, " ".join(f"{value:.6g}" for value in test.speeds)])
    return out.getvalue()


def as_markdown(done: Bench) -> str:
    """Three tables."""
    parts = [markdown(COLUMNS, rows(done))]
    if latencies := latency_rows(done):
        parts.append(markdown(LATENCY, latencies))
    parts.append(markdown(("measured", "value"), facts(done)))
    return "\n".join(parts)


def csv_text(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table as CSV."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([columns, *lines])
    return out.getvalue()


def markdown(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table as Markdown."""
    head = [columns, ["---"] * len(columns), *lines]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in head)


def estimate_rows(found: Estimate) -> list[list[str]]:
    """Name and text of each part of an estimate."""
    heads = f"{found.attention} ({found.heads} heads, {found.kv_heads} of keys and values, {found.head_dim} wide)"
    fits: list[Any] = [name for name, fit in found.fits.items() if fit and name != "this machine"]
    return [
        ["model", f"{found.model} ({found.dtype})"],
        ["parameters", f"{found.parameters:,}"],
        ["weights", size(found.weight_bytes)],
        ["attention", f"{heads}, {found.layers} layers"],
        ["keys and values of a token", size(found.kv_bytes_per_token)],
        [f"keys and values, {found.batch} x {found.context:,} tokens", size(found.kv_bytes)],
        ["activations of a pass", size(found.activation_bytes)],
        ["together", size(found.total_bytes)],
        ["fits a device of", f"{fits[0]} or more" if fits else "none of one device: split it over several"],
        ["fits the free memory here", "yes" if found.fits["this machine"] else "no"],
    ]


def server_rows(done: ServerBench) -> list[tuple[Sequence[str], list[list[str]]]]:
    """Tables (columns, rows) of a server's bench: latencies, then rates and failures."""
    latencies = [
        [what.upper(), str(found["n"])] + [numbers.seconds(found[f"{key}_s"]) for key in ("mean", "p50", "p90", "p99")]
        for what, found in done.latencies.items()
    ]
    rates = [[name.replace("_", " ").replace(" per s", "/s"), f"{value:.4g}"] for name, value in done.rates.items()]
    rates += [[f"failed: {reason}", str(count)] for reason, count in done.errors.items()]
    return [(LATENCY[2:], latencies), (("measured", "value"), [["model", done.model], *rates])]
