"""lm-eval's own tasks through ``lm_eval:NAME`` on the real model: the same answers and numbers as lm-eval by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lm_eval_side
import pytest
from lm_eval_side import Answered
from lm_eval_tasks.parity_tasks import TASKS, ParityTask
from our_side import run

from evalkit.spec.models import ModelSpec, TaskSpec

pytestmark = [pytest.mark.model, pytest.mark.mirror, pytest.mark.lm_eval, pytest.mark.slow]

DOCUMENTS = 2
SETTINGS = {"max_gen_toks": 12}
"""Short answers: a few tokens show whether they are the same."""


@pytest.fixture(scope="module")
def selected(request: pytest.FixtureRequest) -> list[ParityTask]:
    """The tasks that this session's tests look at."""
    specs = [getattr(item, "callspec", None) for item in request.session.items]
    ours = [spec.params.get("one") for spec in specs if spec is not None]
    names = {one.name for one in ours if isinstance(one, ParityTask)}
    return [one for one in TASKS if one.name in names]


@pytest.fixture(scope="module")
def theirs(lm: Any, mirror: Path, selected: list[ParityTask]) -> dict[str, Answered]:
    by_shots: dict[int | None, dict[str, int]] = {}
    for one in selected:
        by_shots.setdefault(one.shots, {})[one.name] = DOCUMENTS
    found: dict[str, Answered] = {}
    for shots, samples in by_shots.items():
        found |= lm_eval_side.evaluate(lm, mirror, samples, num_fewshot=shots, gen_kwargs=dict(SETTINGS))
    return found


@pytest.fixture(scope="module")
def ours(
    model_spec: ModelSpec, mirror: Path, selected: list[ParityTask], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Answered]:
    specs = [TaskSpec(name=f"lm_eval:{one.name}", num_fewshot=one.shots, limit=DOCUMENTS) for one in selected]
    return run(model_spec, specs, mirror, tmp_path_factory.mktemp("lm_eval") / "run", gen_kwargs=SETTINGS)


@pytest.mark.parametrize("one", TASKS, ids=lambda one: one.name)
def test_answers_and_metrics_are_lm_evals(
    one: ParityTask, ours: dict[str, Answered], theirs: dict[str, Answered], largest: Any
) -> None:
    mine, reference = ours[one.name], theirs[one.name]
    lm_eval_side.assert_same_answers(mine, reference, lambda value: largest(f"lm_eval:{one.name}", value))
    assert len(mine.documents) == DOCUMENTS
    lm_eval_side.assert_same_metrics(mine, reference)
