"""evalkit beside lm-evaluation-harness: the same data, model, dtype and shots, both programs in turn.

    python benchmarks/vs_lm_eval.py --data-dir DIR                   # everything, three repetitions: an hour or more
    python benchmarks/vs_lm_eval.py --workloads boolq,piqa --limit 10 --repetitions 1
    python benchmarks/vs_lm_eval.py --evalkit-only --workloads mmlu --output mmlu.json
    build/vllm-venv/bin/python benchmarks/vs_lm_eval.py --backend vllm --workloads mmlu --limit 4

Each measurement runs in a fresh process. With --backend vllm both programs ask vLLM, each by its own backend for it, in
the environment of `make vllm-venv`: the same engine without compiled graphs, in the same process. lm-eval (its hf or
vllm backend) is first run once at each of --lm-eval-batch-sizes,
on --search-limit documents a task where that is given; its best one is then repeated, evalkit and lm-eval in turn. The
first runs of both are not counted: they fill the file cache. Printed are medians (smallest to largest).

* s/document: seconds inside the evaluation, a document. For lm-eval: all of lm_eval.evaluator.evaluate (writing the
  prompts, tokenizing, the model, filters, metrics; no bootstrap). For evalkit: writing the prompts, tokenizing,
  planning, the model, the journal on disk, scoring, metrics with their intervals. Imports, loading of model and data
  are left out for both.
* wall: the whole process, from start to exit.
* peak: the process's largest resident size, model and libraries included.
* apart: the largest difference of a log-likelihood in nats; for generations, how many texts differ.

A process may take --memory of the memory that is free (RLIMIT_DATA), so that "auto" meets an error that it can answer
with a smaller batch, and not the system's out-of-memory killer. A batch size that fails or takes longer than --timeout
is left out and named.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from workloads import Workload, chosen, data_folder, public, surroundings, wide_console

Run = dict[str, Any]
MEASUREMENT = Path(__file__).with_name("one_measurement.py")


def main() -> None:
    """Measure, print a table, write JSON."""
    options = parser().parse_args()
    from rich.console import Console

    console = Console(stderr=True)
    data_dir = data_folder(options.data_dir)
    source = model_source(options.model)
    found: dict[str, Any] = {
        "command": public(["benchmarks/vs_lm_eval.py", *sys.argv[1:]]),
        **surroundings(),
        "model": Path(options.model).name,
        "dtype": options.dtype,
        "device": options.device,
        "backend": options.backend,
        "workloads": {},
    }
    for workload in chosen(options.workloads, options.limit):

        def measure(program: str, batch: str, limit: int, workload: Workload = workload) -> Run:
            workload = replace(workload, limit=limit)
            job = {
                "program": program, "batch_size": batch, "workload": asdict(workload), "model": source,
                "data_dir": str(data_dir), "dtype": options.dtype, "device": options.device, "memory": options.memory,
                "backend": options.backend,
            }  # fmt: skip
            run = in_a_process(job, options.timeout)
            said = f"{run['seconds']:.2f} s, peak {run['peak_gb']:.2f} GB" if "seconds" in run else run["failed"]
            console.print(f"{workload.name}: {program}, batch size {batch}: {said}")
            return run

        sizes = options.lm_eval_batch_sizes or ("auto" if options.backend == "vllm" else "1,4,8,auto")
        batches = [] if options.evalkit_only else sizes.split(",")
        searched = min(workload.limit, options.search_limit or workload.limit)
        found["workloads"][workload.name] = compare(
            workload, measure, options.repetitions, batches, options.evalkit_batch_size, searched
        )
        if options.output:
            options.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    show(found)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--data-dir", type=Path, help="mirror of data sets (default: EVALKIT_DATA_DIR)")
    made.add_argument("--model", default="smollm2-135m", help="a name of evalkit's, a folder or a Hub id")
    made.add_argument("--dtype", default="float32")
    made.add_argument("--device", default="cpu")
    made.add_argument("--workloads", help="comma-separated; default: all of benchmarks/workloads.py")
    made.add_argument("--limit", type=int, help="documents a task, instead of each workload's own number")
    made.add_argument("--repetitions", type=int, default=3)
    made.add_argument("--lm-eval-batch-sizes", help="lm-eval is measured at its best of these (1,4,8,auto; vllm: auto)")
    made.add_argument("--backend", choices=("hf", "vllm"), default="hf", help="what both programs compute with")
    made.add_argument("--search-limit", type=int, help="documents a task while lm-eval's batch size is searched")
    made.add_argument("--evalkit-batch-size", default="auto")
    made.add_argument("--evalkit-only", action="store_true")
    made.add_argument("--memory", type=float, default=0.9, help="share of the free memory that a process may take")
    made.add_argument("--timeout", type=float, default=3600, help="seconds after which a process is given up")
    made.add_argument("--output", type=Path, help="JSON file for the results")
    return made


def compare(
    workload: Workload,
    measure: Callable[[str, str, int], Run],
    repetitions: int,
    batches: list[str],
    own_batch: str,
    searched: int,
) -> dict[str, Any]:
    """All measurements of one workload, and what follows from them; ``searched``: documents of the first runs."""
    first = {batch: measure("lm_eval", batch, searched) for batch in batches}
    working = {batch: run for batch, run in first.items() if "seconds" in run}
    best = min(working, key=lambda batch: working[batch]["seconds"], default=None)
    measure("evalkit", own_batch, searched)
    ours: list[Run] = []
    theirs: list[Run] = []
    for _ in range(repetitions):
        ours.append(measure("evalkit", own_batch, workload.limit))
        if best is not None:
            theirs.append(measure("lm_eval", best, workload.limit))
    result: dict[str, Any] = {"tasks": workload.tasks, "shots": workload.shots, "evalkit": summary(ours)}
    if batches:
        result["lm_eval_search_documents"] = searched * len(workload.tasks)
        result["lm_eval_search"] = {batch: run.get("seconds", run.get("failed")) for batch, run in first.items()}
    if (answered := good(ours)) and (reference := good(theirs)):
        result["lm_eval"] = {"batch_size": best, **summary(theirs)}
        result["ratio"] = ratio(result, "seconds_per_document")
        result["memory_ratio"] = ratio(result, "peak_gb")
        result |= differences(answered[0]["answers"], reference[0]["answers"])
    return result


def ratio(result: Mapping[str, Any], what: str) -> float:
    """How many times lm-eval's median is evalkit's."""
    return result["lm_eval"][what]["median"] / result["evalkit"][what]["median"]


def good(runs: list[Run]) -> list[Run]:
    """The runs that came to their end."""
    return [run for run in runs if "seconds" in run]


def summary(runs: list[Run]) -> dict[str, Any]:
    """Medians, extremes and raw values; the answers are left out."""
    done = good(runs)
    made: dict[str, Any] = {"failed": [run["failed"] for run in runs if "failed" in run]}
    if not done:
        return made
    made["documents"] = done[0]["documents"]
    made["output_tokens"] = done[0]["output_tokens"]
    made["seconds_per_document"] = spread([run["seconds"] / run["documents"] for run in done])
    for name in ("seconds", "wall", "load", "peak_gb", "loaded_gb"):
        made[name] = spread([run[name] for run in done])
    made["parts"] = [run["parts"] for run in done]
    return made


def spread(values: list[float]) -> dict[str, Any]:
    """Median, smallest, largest and all values."""
    from numpy import median

    return {"median": float(median(values)), "min": min(values), "max": max(values), "values": values}


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """The largest difference of a log-likelihood, and how many texts differ, over all answers of both."""
    if ours.keys() != theirs.keys():
        raise SystemExit("the two programs did not answer the same documents")
    apart, texts, unequal = 0.0, 0, 0
    for name, mine in ours.items():
        for one, other in zip(mine, theirs[name], strict=True):
            if isinstance(one, str):
                texts, unequal = texts + 1, unequal + (one != other)
            else:
                apart = max(apart, abs(one - other))
    return {"largest_difference": apart, "texts": texts, "texts_that_differ": unequal}


def show(found: Mapping[str, Any]) -> None:
    """The table."""
    from rich.table import Table

    machine = found["machine"]
    table = Table(title=f"{found['model']}, {found['dtype']}; {machine['cpu']}, {machine['cores']} cores")
    names = ("work", "documents", "lm-eval s/document", "batch", "evalkit s/document", "ratio", "wall s", "peak GB")
    for name in (*names, "apart"):
        table.add_column(name, justify="left" if name == "work" else "right")
    for name, row in found["workloads"].items():
        mine, other = row["evalkit"], row.get("lm_eval")
        if "seconds" not in mine:
            table.add_row(name, "", "", "", f"failed: {mine['failed']}")
            continue
        pair = [part for part in (other, mine) if part]
        table.add_row(
            name,
            str(mine["documents"]),
            shown(other["seconds_per_document"]) if other else "-",
            str(other["batch_size"]) if other else "-",
            shown(mine["seconds_per_document"]),
            f"{row['ratio']:.1f}x" if other else "-",
            " : ".join(f"{part['wall']['median']:.0f}" for part in pair),
            " : ".join(f"{part['peak_gb']['median']:.2f}" for part in pair),
            apart(row) if other else "-",
        )
    wide_console().print(table)


def shown(value: Mapping[str, float]) -> str:
    return f"{value['median']:.3f} ({value['min']:.3f}-{value['max']:.3f})"


def apart(row: Mapping[str, Any]) -> str:
    if row["texts"]:
        return f"{row['texts_that_differ']} of {row['texts']} texts"
    return f"{row['largest_difference']:.1e}"


def model_source(name: str) -> str:
    """What both programs load: the folder of a model, or its Hub id."""
    from evalkit.backends.hf.local_files import local_folder
    from evalkit.spec.models import ModelSpec

    return str(local_folder(ModelSpec(name=name)) or name)


def in_a_process(job: Mapping[str, Any], timeout: float) -> Run:
    """Carry out ``job``; a process that fails, is killed or takes too long gives {"failed": why}."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, str(MEASUREMENT), json.dumps({**job, "answer": str(answer)})]
        started = time.perf_counter()
        try:
            done = subprocess.run(command, timeout=timeout, capture_output=True, text=True, check=False)
        except subprocess.TimeoutExpired:
            return {"failed": f"not done after {timeout:.0f} s"}
        wall = time.perf_counter() - started
        if done.returncode != 0 or not answer.is_file():
            last = (done.stderr.strip().splitlines() or ["no message"])[-1][:200]
            return {"failed": f"exit code {done.returncode}: {last}"}
        return {**json.loads(answer.read_text(encoding="utf-8")), "wall": wall}


if __name__ == "__main__":
    main()
