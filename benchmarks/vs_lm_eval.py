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
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from workloads import Workload, chosen, data_folder, gathered, public, surroundings, wide_console

Run = dict[str, Any]


def main() -> None:
    """Measure, print a table, write JSON; in a child process, carry out one measurement."""
    if sys.argv[1:2] == ["--child"]:
        child(json.loads(sys.argv[2]))
        return
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


# -- one measurement, in a process of its own --------------------------


def in_a_process(job: Mapping[str, Any], timeout: float) -> Run:
    """Carry out ``job``; a process that fails, is killed or takes too long gives {"failed": why}."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, __file__, "--child", json.dumps({**job, "answer": str(answer)})]
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


def child(job: Mapping[str, Any]) -> None:
    """One measurement; its result goes to the file ``job["answer"]``."""
    import psutil

    if job["backend"] == "vllm":
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # so that the peak is the engine's too
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "3")
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    else:  # vLLM takes its cache at once, and meets no error that it could answer
        allowed = int(psutil.virtual_memory().available * job["memory"])
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))
    workload = Workload(**{**job["workload"], "tasks": tuple(job["workload"]["tasks"])})
    run = (by_evalkit if job["program"] == "evalkit" else by_lm_eval)(job, workload)
    run["peak_gb"] = resident_peak()
    Path(job["answer"]).write_text(json.dumps(run), encoding="utf-8")


def resident_peak() -> float:
    """The largest resident size of this process so far, in GiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)


def by_evalkit(job: Mapping[str, Any], workload: Workload) -> Run:
    """evalkit, through the parts that its runner calls in turn."""
    from evalkit.backends import opening
    from evalkit.contract.types import PromptStyle
    from evalkit.runner.interruptible import answer_all
    from evalkit.runner.progress import Silent
    from evalkit.runner.workload import build_requests
    from evalkit.spec.models import EngineSpec, ModelSpec
    from evalkit.store import Journal

    os.environ["EVALKIT_ENCODINGS"] = "off"  # every run counted tokenizes, as a first run does
    works = gathered(workload, Path(job["data_dir"]))
    import scipy.stats  # noqa: F401
    import statsmodels.stats.proportion  # noqa: F401

    batch = job["batch_size"]
    engine = EngineSpec(batch_size=batch if batch == "auto" else int(batch))
    clock = [time.perf_counter()]
    if job["backend"] == "vllm":
        spec = ModelSpec(name=job["model"], backend="vllm", dtype=job["dtype"], args={"enforce_eager": True})
    else:
        spec = ModelSpec(name=job["model"], dtype=job["dtype"], device=job["device"])
    backend = opening.open_backend(spec, engine)
    loaded_gb = resident_peak()
    clock.append(time.perf_counter())
    works = [build_requests(work, PromptStyle()) for work in works]
    clock.append(time.perf_counter())
    requests = [request for work in works for asked in work.requests for request in asked]
    with Journal(Path(job["answer"]).with_name("journal.sqlite")) as book:
        responses, _ = answer_all(backend, requests, book, engine, Silent())
    clock.append(time.perf_counter())
    answers: dict[str, list[Any]] = {}
    ahead = iter(responses)
    for work in works:
        samples = []
        for document, asked in zip(work.documents, work.requests, strict=True):
            got = [next(ahead) for _ in asked]
            samples.append(work.task.score(document, asked, got))
            answers[f"{work.info.name}/{document.id}"] = [
                one.loglikelihood if one.text is None else one.text for one in got
            ]
        work.task.summarize(samples)
    clock.append(time.perf_counter())
    load, *rest = (after - before for before, after in pairwise(clock))
    texts = [response for response in responses if response.text is not None]
    return {
        "seconds": clock[-1] - clock[1],
        "load": load,
        "loaded_gb": loaded_gb,
        "parts": dict(zip(("ask", "answer", "score"), rest, strict=True)),
        "documents": len(answers),
        "output_tokens": [response.output_tokens for response in texts],
        "answers": answers,
    }


def by_lm_eval(job: Mapping[str, Any], workload: Workload) -> Run:
    """lm-eval through simple_evaluate, its evaluate timed."""
    import lm_eval
    import lm_eval.evaluator

    from evalkit.task.lm_eval.index import manager
    from evalkit.task.lm_eval.mirror import served

    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    tasks = manager()
    started = time.perf_counter()
    lm = lm_eval_model(job)
    load, loaded_gb = time.perf_counter() - started, resident_peak()
    seconds = 0.0
    evaluate = lm_eval.evaluator.evaluate

    def timed(*args: Any, **kwargs: Any) -> Any:
        nonlocal seconds
        begun = time.perf_counter()
        try:
            return evaluate(*args, **kwargs)
        finally:
            seconds = time.perf_counter() - begun

    lm_eval.evaluator.evaluate = timed
    with served(Path(job["data_dir"])):
        results = lm_eval.simple_evaluate(
            model=lm, tasks=list(workload.tasks), num_fewshot=workload.shots, limit=workload.limit, bootstrap_iters=0,
            task_manager=tasks,
        )  # fmt: skip
    assert results is not None
    answers: dict[str, list[Any]] = {}
    for name, samples in results["samples"].items():
        for sample in samples:
            given = [one for repeats in sample["resps"] for one in repeats]
            answers[f"{name}/{sample['doc_id']}"] = [one if isinstance(one, str) else one[0] for one in given]
    return {
        "seconds": seconds,
        "load": load,
        "loaded_gb": loaded_gb,
        "parts": {"evaluate": seconds},
        "documents": len(answers),
        "output_tokens": [],
        "answers": answers,
    }


def lm_eval_model(job: Mapping[str, Any]) -> Any:
    """lm-eval's model: transformers, or vLLM with its own defaults."""
    if job["backend"] == "hf":
        from lm_eval.models.huggingface import HFLM

        return HFLM(
            pretrained=job["model"], dtype=job["dtype"], device=job["device"], batch_size=job["batch_size"],
            max_batch_size=64,
        )  # fmt: skip
    import importlib.metadata as packages

    asked = packages.version
    if "vllm-cpu" in packages.packages_distributions().get("vllm", ()):
        # lm-eval asks for the version of the package "vllm"; the CPU build goes by another name. vLLM asks too, to find
        # its platform, and is to find no such package: it does so first.
        from vllm.platforms import current_platform

        assert current_platform.device_type == "cpu"
        packages.version = lambda name: asked("vllm-cpu" if name == "vllm" else name)
    from lm_eval.models.vllm_causallms import VLLM

    return VLLM(pretrained=job["model"], dtype=job["dtype"], batch_size=job["batch_size"], enforce_eager=True)


if __name__ == "__main__":
    main()
