"""lm-eval's evaluate and our adapter, side by side with the same answers: every metric is the same."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import fake_lm
import pytest
from parity_tasks import TASKS, ParityTask

from evalkit.contract.types import MetricResult, PromptStyle, SampleResult, Task
from evalkit.data import open_source
from evalkit.spec.models import ModelSpec, RunSpec, TaskSpec
from evalkit.task.lm_eval import resolve
from evalkit.task.lm_eval.index import manager
from evalkit.task.lm_eval.mirror import served

pytestmark = [
    pytest.mark.mirror,
    pytest.mark.lm_eval,
    pytest.mark.skipif("EVALKIT_DATA_DIR" not in os.environ, reason="EVALKIT_DATA_DIR names no mirror"),
]


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISABLE_MULTIPROC", "1")


def theirs(one: ParityTask, **options: Any) -> dict[str, Any]:
    import lm_eval

    with served(Path(os.environ["EVALKIT_DATA_DIR"])):
        results = lm_eval.simple_evaluate(
            model=fake_lm.make_lm(),
            tasks=[one.name],
            num_fewshot=one.shots,
            limit=one.limit,
            bootstrap_iters=10,
            task_manager=manager(),
            **options,
        )
    assert results is not None
    return results


def run_spec(one: ParityTask, **options: Any) -> RunSpec:
    return RunSpec(model=ModelSpec(name="fake"), tasks=(TaskSpec(name=f"lm_eval:{one.name}"),), **options)


def answered(task: Task, style: PromptStyle, limit: int) -> list[SampleResult]:
    documents = task.documents(open_source(None))[:limit]
    return [
        task.score(document, requests, [fake_lm.respond(request) for request in requests])
        for document, requests in zip(documents, task.requests(documents, style), strict=True)
    ]


def ours(one: ParityTask, style: PromptStyle = PromptStyle(), **options: Any) -> tuple[Task, tuple[MetricResult, ...]]:
    spec = run_spec(one, num_fewshot=one.shots, **options)
    (task,), groups = resolve(one.name, spec.tasks[0], spec)
    assert groups == ()
    samples = answered(task, style, one.limit)
    assert {sample.status for sample in samples} == {"ok"}, [sample.error for sample in samples][:1]
    return task, task.summarize(samples)


def assert_same(one: ParityTask, expected: dict[str, Any], task: Task, metrics: tuple[MetricResult, ...]) -> None:
    results = expected["results"][one.name]
    values = {
        key: value
        for key, value in results.items()
        if "," in key and "_stderr" not in key and not isinstance(value, str)
    }
    assert values
    assert {metric.key: metric.value for metric in metrics} == pytest.approx(values, abs=1e-9)
    for metric in metrics:
        stderr = results[f"{metric.name}_stderr,{metric.filter}"]
        if "agg:mean" in metric.signature:
            assert metric.stderr == pytest.approx(stderr, abs=1e-9)
            assert metric.interval is not None
    assert task.info.num_fewshot == expected["n-shot"][one.name]
    assert task.info.version == str(expected["versions"][one.name])
    assert task.info.higher_is_better == expected["higher_is_better"][one.name]
    assert [metric.key for metric in metrics if metric.primary] == [task.info.primary]


@pytest.mark.parametrize("one", TASKS, ids=lambda one: one.name)
def test_metrics_are_the_same(one: ParityTask) -> None:
    task, metrics = ours(one)
    assert_same(one, theirs(one), task, metrics)


@pytest.mark.parametrize("multiturn", [True, False])
@pytest.mark.parametrize("name", ["mmlu_anatomy_generative", "mmlu_llama_anatomy", "mmlu_anatomy_continuation"])
def test_chat_prompts_are_the_same(name: str, multiturn: bool) -> None:
    one = ParityTask(name, shots=2, limit=10)
    style = PromptStyle(chat=fake_lm.chat, system="Be brief.", multiturn=multiturn)
    task, metrics = ours(one, style)
    expected = theirs(one, system_instruction="Be brief.", apply_chat_template=True, fewshot_as_multiturn=multiturn)
    assert_same(one, expected, task, metrics)


def test_generation_settings_are_the_same() -> None:
    one = ParityTask("mmlu_anatomy_generative", limit=10)
    settings = {"max_gen_toks": 7, "temperature": 0.5, "do_sample": True}
    task, metrics = ours(one, gen_kwargs=settings)
    assert_same(one, theirs(one, gen_kwargs=settings), task, metrics)


def test_another_seed_draws_other_examples() -> None:
    one = ParityTask("boolq-seq2seq", shots=2, limit=10)
    task, metrics = ours(one, seed=7)
    assert_same(one, theirs(one, fewshot_random_seed=7), task, metrics)
