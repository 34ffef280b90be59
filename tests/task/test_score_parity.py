"""The same answers give the same per-document metrics as lm-evaluation-harness's, to the last bit that matters."""

from __future__ import annotations

import random
from typing import Any

import lm_eval_mirror
import pytest

from evalkit.contract.types import PromptStyle, Response, SampleResult
from evalkit.spec.models import ModelSpec, RunSpec, TaskSpec
from evalkit.task.catalog import resolve

CHOICE = [
    "mmlu_anatomy",
    "hellaswag",
    "boolq",
    "arc_easy",
    "arc_challenge",
    "piqa",
    "openbookqa",
    "truthfulqa_mc1",
    "truthfulqa_mc2",
    "lambada_openai",
]
TEXT = ["triviaqa", "nq_open"]
DOCUMENTS = 30
NO_TRAIN = "google-research-datasets/nq_open"
pytestmark = [pytest.mark.mirror, pytest.mark.lm_eval]


def answers(name: str, n: int, targets: list[Any]) -> list[Response]:
    """Made-up answers: log-likelihoods, or texts around the right ones."""
    generator = random.Random(name)
    if name in TEXT:
        return [Response(text=spoil(generator, str(target))) for target in targets]
    return [Response(loglikelihood=generator.uniform(-40, 0), is_greedy=generator.random() < 0.5) for _ in range(n)]


def spoil(generator: random.Random, right: str) -> str:
    return generator.choice(
        [right, f" {right} ", right.upper(), f"the {right}", f"The {right}!", "no idea", "", f'"{right}"']
    )


def ours(name: str, responses: Any) -> list[SampleResult]:
    spec = RunSpec(model=ModelSpec(name="m"), tasks=(TaskSpec(name=name),))
    task = resolve(spec).tasks[0]
    documents = task.documents(lm_eval_mirror.Mirror())[:DOCUMENTS]
    requests = list(task.requests(documents, PromptStyle()))
    golds = [task.score(document, (), ()).target for document in documents]
    flat = responses(sum(len(one) for one in requests), [g[0] if isinstance(g, list) else g for g in golds])
    scored = []
    for document, asked in zip(documents, requests, strict=True):
        scored.append(task.score(document, asked, [flat.pop(0) for _ in asked]))
    return scored


def theirs(name: str, samples: list[SampleResult]) -> list[dict[str, float]]:
    rows = lm_eval_mirror.rows(NO_TRAIN, None, "validation")[-5:]
    with lm_eval_mirror.patched({(NO_TRAIN, "train"): rows}):
        task = lm_eval_mirror.build(name)
    task.set_config("num_fewshot", 0)
    task.set_fewshot_seed(1234)
    task.build_all_requests(limit=DOCUMENTS)
    flat = [response for sample in samples for response in sample.responses]
    for instance, response in zip(task.instances, flat, strict=True):
        given = response.text if name in TEXT else (response.loglikelihood, response.is_greedy)
        instance.resps.append(given)
    task.apply_filters()
    found: list[dict[str, float]] = []
    for doc_id, doc in task.doc_iterator(limit=DOCUMENTS):
        mine = [one for one in task.instances if one.doc_id == doc_id]
        values = {}
        for filter_name in mine[0].filtered_resps:
            results = [one.filtered_resps[filter_name] for one in sorted(mine, key=lambda one: one.idx)]
            values |= {f"{k},{filter_name}": float(v) for k, v in task.process_results(doc, results).items()}
        found.append(values)
    return found


@pytest.mark.parametrize("name", [*CHOICE, *TEXT])
def test_metrics_equal_lm_evals(name: str) -> None:
    samples = ours(name, lambda n, targets: answers(name, n, targets))
    reference = theirs(name, samples)
    assert len(samples) == len(reference) == DOCUMENTS
    for sample, expected in zip(samples, reference, strict=True):
        assert sample.status == "ok"
        assert expected
        for key, value in expected.items():
            assert sample.metrics[key] == pytest.approx(value, abs=1e-9), f"{name}: {key}"
    assert len({tuple(one.values()) for one in reference}) > 1
