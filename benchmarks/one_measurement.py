"""One measurement of vs_lm_eval.py, in a process of its own: evalkit or lm-eval on one workload.

python benchmarks/one_measurement.py '{"program": "evalkit", ...}'      # as vs_lm_eval.py starts it
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from workloads import Workload, gathered

Run = dict[str, Any]


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
    child(json.loads(sys.argv[1]))
