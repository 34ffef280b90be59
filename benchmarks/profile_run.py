"""Where the time of a workload goes: torch's profiler over the engine's passes, by kind of operator.

    python benchmarks/profile_run.py --workloads mmlu,boolq --limit 4

Shares are of the wall time of answering; with several threads an operator's time is that of the thread that called it.
"Outside" is everything that is no operator: Python, planning, tokenizing, journal.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from workloads import Workload, chosen, data_folder, gathered, wide_console

if TYPE_CHECKING:
    from evalkit.backends.hf.backend import HfBackend

KINDS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::matmul", "aten::linear", "mkldnn"),
    "attention": ("flash_attention", "scaled_dot_product"),
    "log-softmax": ("softmax", "aten::argmax", "aten::max"),
    "attention's merge": ("aten::sigmoid", "aten::logaddexp", "aten::sub_", "aten::addcmul"),
    "copies": ("aten::copy_", "aten::cat", "aten::index", "aten::clone", "aten::empty", "aten::_to_copy"),
}


def main() -> None:
    """Profile each workload and print a table."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--data-dir", type=Path)
    made.add_argument("--model", default="smollm2-135m")
    made.add_argument("--workloads", default="mmlu,boolq")
    made.add_argument("--limit", type=int, default=4)
    options = made.parse_args()
    from rich.table import Table

    from evalkit.backends.hf.backend import HfBackend
    from evalkit.backends.hf.loading import load_parts
    from evalkit.spec.models import EngineSpec, ModelSpec

    data_dir = data_folder(options.data_dir)
    spec = ModelSpec(name=options.model, dtype="float32", device="cpu")
    backend = HfBackend(load_parts(spec), spec, EngineSpec())
    table = Table(title="share of the wall time of answering")
    for name in ("work", "seconds", *KINDS, "other operators", "outside"):
        table.add_column(name, justify="left" if name == "work" else "right")
    for workload in chosen(options.workloads, options.limit):
        seconds, shares = profile(workload, data_dir, backend)
        table.add_row(workload.name, f"{seconds:.1f}", *(f"{share:.0%}" for share in shares))
    wide_console().print(table)


def profile(workload: Workload, data_dir: Path, backend: HfBackend) -> tuple[float, list[float]]:
    """Wall seconds, and the shares in the order of the table."""
    import torch

    from evalkit.contract.types import PromptStyle
    from evalkit.runner.interruptible import answer_all
    from evalkit.runner.progress import Silent
    from evalkit.runner.workload import build_requests
    from evalkit.spec.models import EngineSpec
    from evalkit.store import Journal

    works = [build_requests(work, PromptStyle()) for work in gathered(workload, data_dir)]
    requests = [request for work in works for asked in work.requests for request in asked]
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal.sqlite") as book:
        begun = time.perf_counter()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
            answer_all(backend, requests, book, EngineSpec(), Silent())
        seconds = time.perf_counter() - begun
    spent: Counter[str] = Counter()
    for event in profiler.key_averages():
        kind = next((kind for kind, marks in KINDS.items() if any(mark in event.key for mark in marks)), "other")
        spent[kind] += event.self_cpu_time_total / 1e6
    shares = [spent[kind] / seconds for kind in (*KINDS, "other")]
    return seconds, [*shares, 1 - sum(shares)]


if __name__ == "__main__":
    main()
