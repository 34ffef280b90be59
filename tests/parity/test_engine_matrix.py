"""However the engine goes about it, the answers are the same: sharing prefixes or not, at any batch size."""

from __future__ import annotations

import math
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
NATS_A_TOKEN = 5e-5
"""How far two float32 computations of one token may lie apart. Against the model's own forward in float64, row by row,
all six settings and transformers' own float32 err alike: by at most 2.3e-5 nats a token (17 rows of 1 to 69 scored
tokens, two cores), so two of them by twice that. What they do not share has no common sign and grows with the root of
the number of tokens: the largest between two settings was 1.3e-4 over 32 tokens and 1.5e-4 over 69."""


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
            tolerance = NATS_A_TOKEN * math.sqrt(mine.output_tokens)
            assert mine.loglikelihood == pytest.approx(other.loglikelihood, abs=tolerance)


def test_a_question_asked_twice_is_answered_alike(requests: list[Request], usual: list[Response]) -> None:
    assert requests[-2] == requests[0]
    assert usual[-2] == usual[0]
