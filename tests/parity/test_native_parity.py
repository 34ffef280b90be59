"""lm-evaluation-harness itself and `evalkit run`'s runner on the same model and data: the same answers and numbers.

EVALKIT_DATA_DIR=... pytest tests/parity                  # prefixes shared, batches by memory
EVALKIT_DATA_DIR=... pytest tests/parity --engines all    # and the plain path, at batch sizes 1, 3 and auto
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lm_eval_side
import pytest
from engines import ENGINES
from lm_eval_side import Answered
from our_side import run

from evalkit.spec.models import ModelSpec, TaskSpec

pytestmark = [pytest.mark.model, pytest.mark.mirror, pytest.mark.lm_eval, pytest.mark.slow]


@dataclass(frozen=True)
class Case:
    """A task at some number of shots, on its first ``documents`` documents."""

    task: str
    shots: int
    documents: int = 8

    def __str__(self) -> str:
        return f"{self.task}-{self.shots}shot"


CASES = (
    Case("mmlu_abstract_algebra", 5, documents=6),
    Case("mmlu_anatomy", 5, documents=6),
    Case("mmlu_high_school_us_history", 5, documents=2),
    Case("triviaqa", 5, documents=6),
    Case("hellaswag", 10, documents=3),
    Case("hellaswag", 0),
    Case("boolq", 0),
    Case("arc_easy", 0),
    Case("arc_challenge", 0),
    Case("piqa", 0),
    Case("openbookqa", 0),
    Case("truthfulqa_mc1", 0, documents=6),
    Case("truthfulqa_mc2", 0, documents=6),
    Case("lambada_openai", 0, documents=10),
    Case("nq_open", 0, documents=6),
)
Side = dict[tuple[str, int], Answered]


@pytest.fixture(scope="session")
def by_shots(request: pytest.FixtureRequest) -> dict[int, dict[str, int]]:
    """Documents by task, for each number of shots (a task is asked for once a run), of the cases that were selected."""
    specs = [getattr(item, "callspec", None) for item in request.session.items]
    selected = {spec.params["case"] for spec in specs if spec is not None and "case" in spec.params}
    grouped: dict[int, dict[str, int]] = {}
    for case in CASES:
        if case in selected:
            grouped.setdefault(case.shots, {})[case.task] = case.documents
    return grouped


@pytest.fixture(scope="session")
def theirs(lm: Any, mirror: Path, by_shots: dict[int, dict[str, int]]) -> Side:
    return {
        (name, shots): answered
        for shots, tasks in by_shots.items()
        for name, answered in lm_eval_side.evaluate(lm, mirror, tasks, num_fewshot=shots).items()
    }


@pytest.fixture(scope="session")
def ours(
    engine: str,
    by_shots: dict[int, dict[str, int]],
    model_spec: ModelSpec,
    mirror: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Side:
    found: Side = {}
    for shots, tasks in by_shots.items():
        specs = [TaskSpec(name=name, num_fewshot=shots, limit=count) for name, count in tasks.items()]
        folder = tmp_path_factory.mktemp("parity") / "run"
        answered = run(model_spec, specs, mirror, folder, engine=ENGINES[engine])
        found |= {(name, shots): one for name, one in answered.items()}
    return found


@pytest.mark.parametrize("case", CASES, ids=str)
def test_answers_are_lm_evals(
    case: Case, engine: str, ours: Side, theirs: Side, largest: Callable[[str, float], None]
) -> None:
    mine, reference = ours[case.task, case.shots], theirs[case.task, case.shots]
    lm_eval_side.assert_same_answers(mine, reference, lambda value: largest(f"{case} {engine}", value))
    assert len(mine.documents) == case.documents


@pytest.mark.parametrize("case", CASES, ids=str)
def test_metrics_are_lm_evals(case: Case, ours: Side, theirs: Side) -> None:
    lm_eval_side.assert_same_metrics(ours[case.task, case.shots], theirs[case.task, case.shots])


def test_standard_errors_are_compared(ours: Side, theirs: Side) -> None:
    """The comparison above would pass over a program that gave none."""
    for key, reference in theirs.items():
        assert any(stderr for name, (_, stderr) in reference.metrics.items() if name in ours[key].by_mean) or all(
            value in (0.0, 1.0) for value, _ in reference.metrics.values()
        ), key


@pytest.mark.parametrize("case", [case for case in CASES if case.task == "triviaqa"], ids=str)
def test_official_triviaqa_scores_stand_beside_lm_evals(case: Case, ours: Side) -> None:
    given = set(ours[case.task, case.shots].metrics)
    assert {"em,none", "f1,none", "exact_match,remove_whitespace"} <= given
