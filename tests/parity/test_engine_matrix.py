"""However the engine goes about it, the answers are the same: sharing prefixes or not, at any batch size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engines import ENGINES

from evalkit.contract.types import PromptStyle, Request, Response, Rolling
from evalkit.engine import answer
from evalkit.spec.models import ModelSpec, RunSpec, TaskSpec

pytestmark = [pytest.mark.model, pytest.mark.mirror, pytest.mark.slow]

TASKS = {"hellaswag": (3, 2), "mmlu_abstract_algebra": (5, 2), "triviaqa": (2, 3)}
"""Shots and documents."""


@pytest.fixture(scope="module")
def requests(mirror: Path) -> list[Request]:
    """Requests of three tasks, one of them twice, and a text for its perplexity."""
    from evalkit.data import open_source
    from evalkit.runner.workload import build_requests, load_documents
    from evalkit.task import catalog

    specs = tuple(TaskSpec(name=name, num_fewshot=shots) for name, (shots, _) in TASKS.items())
    selection = catalog.resolve(RunSpec(model=ModelSpec(name="any"), tasks=specs, data_dir=mirror))
    data = open_source(mirror)
    works = [
        build_requests(load_documents(task, data, TASKS[task.info.name][1], None), PromptStyle())
        for task in selection.tasks
    ]
    asked = [request for work in works for one in work.requests for request in one]
    return [*asked, asked[0], Rolling("A short text, to be scored as a whole.")]


@pytest.fixture(scope="module")
def usual(requests: list[Request], backend_of: Any) -> list[Response]:
    spec = ENGINES["shared-auto"]
    return answer(backend_of(spec), requests, None, spec)


@pytest.mark.parametrize("name", [name for name in ENGINES if name != "shared-auto"])
def test_answers_are_the_same(name: str, requests: list[Request], usual: list[Response], backend_of: Any) -> None:
    backend = backend_of(ENGINES[name])
    assert backend.info.details["path"].split()[0] == ("tree" if ENGINES[name].share_prefixes else "plain")
    responses = answer(backend, requests, None, ENGINES[name])
    assert {one.status for one in responses} == {"ok"}
    for mine, other in zip(responses, usual, strict=True):
        assert (mine.text, mine.finish, mine.is_greedy) == (other.text, other.finish, other.is_greedy)
        assert (mine.prompt_tokens, mine.output_tokens) == (other.prompt_tokens, other.output_tokens)
        if mine.loglikelihood is not None:
            # float32 resolves a sum of some hundred nats to no more than a millionth of it.
            assert mine.loglikelihood == pytest.approx(other.loglikelihood, abs=1e-4, rel=1e-6)


def test_a_question_asked_twice_is_answered_alike(requests: list[Request], usual: list[Response]) -> None:
    assert requests[-2] == requests[0]
    assert usual[-2] == usual[0]
