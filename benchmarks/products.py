"""Matrix products of a model's own shapes: weights as they are stored against weights laid out once (`hf/products.py`).

    python benchmarks/products.py                       # SmolLM2-135M's shapes
    python benchmarks/products.py --model DIR --rows 1,8,64,768

Microseconds a product, medians; GFLOP/s in brackets. Enough copies of each weight to outgrow the caches, as a model's
layers do.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from workloads import public, surroundings, wide_console

COPIES_BYTES = 2**26
"""Bytes of the copies of one weight that take turns."""


def main() -> None:
    """Measure every shape at every number of rows, print a table, write JSON."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--model", default="smollm2-135m", help="a name of evalkit's, a folder or a Hub id")
    made.add_argument("--rows", default="1,2,8,16,32,128,768")
    made.add_argument("--seconds", type=float, default=0.4, help="seconds spent on each measurement")
    made.add_argument("--output", type=Path, help="JSON file for the results")
    options = made.parse_args()
    import torch
    from rich.table import Table

    from evalkit.backends.hf.loading import load_parts
    from evalkit.spec.models import ModelSpec

    model = load_parts(ModelSpec(name=options.model, dtype="float32", device="cpu")).model
    shapes = sorted({tuple(m.weight.shape) for m in model.modules() if type(m) is torch.nn.Linear})
    table = Table(title="microseconds a product: stored / laid out (GFLOP/s)")
    for name in ("rows", *(f"{inside} to {outside}" for outside, inside in shapes)):
        table.add_column(name, justify="right")
    found = []
    for rows in map(int, options.rows.split(",")):
        cells = []
        for outside, inside in shapes:
            stored, packed = measure(outside, inside, rows, options.seconds)
            flops = 2 * rows * outside * inside
            found.append({"rows": rows, "in": inside, "out": outside, "stored": stored, "packed": packed})
            cells.append(
                f"{stored * 1e6:.0f} / {packed * 1e6:.0f} ({flops / stored / 1e9:.0f} / {flops / packed / 1e9:.0f})"
            )
        table.add_row(str(rows), *cells)
    wide_console().print(table)
    if options.output:
        record = {"command": public(["benchmarks/products.py", *sys.argv[1:]]), **surroundings(), "products": found}
        options.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def measure(outside: int, inside: int, rows: int, seconds: float) -> tuple[float, float]:
    """Seconds of one product of [rows, inside] by [outside, inside], stored and laid out."""
    import torch

    from evalkit.backends.hf.onednn_linear import pack

    copies = max(1, COPIES_BYTES // (4 * outside * inside))
    stored = torch.nn.Sequential(*(torch.nn.Linear(inside, outside, bias=False) for _ in range(copies)))
    packed = torch.nn.Sequential(*(torch.nn.Linear(inside, outside, bias=False) for _ in range(copies)))
    pack(packed)
    given = torch.randn(rows, inside)

    def once(layers: torch.nn.Sequential) -> None:
        for layer in layers:
            layer(given)

    with torch.inference_mode():
        return median(lambda: once(stored), seconds) / copies, median(lambda: once(packed), seconds) / copies


def median(call: Callable[[], None], seconds: float) -> float:
    """Median seconds of the calls that fit in ``seconds``, at least five, after one that warms up."""
    from statistics import median as middle

    call()
    taken: list[float] = []
    while len(taken) < 5 or sum(taken) < seconds:
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return middle(taken)


if __name__ == "__main__":
    main()
