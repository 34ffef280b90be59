"""p_gold: the right answer's probability, from runs of today and of before."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import made_runs as made
import pytest

from evalkit.analysis import gold
from evalkit.analysis.baseline import load_scores, save_baseline
from evalkit.contract.types import Score
from evalkit.metrics.choice import mc2_sample
from evalkit.store import RunDir

GOLDEN = Path(__file__).parent / "golden" / "runs"


def test_it_is_the_softmax_over_the_choices() -> None:
    values = [math.log(0.2), math.log(0.1), math.log(0.1)]
    assert gold.p_gold(values, 0) == 0.5
    assert gold.p_gold(values, [1, 2]) == 0.5
    assert gold.p_gold([-1000.0, -1000.0], 1) == 0.5
    assert gold.p_gold([-math.inf, -3.0], 0) == 0.0


@pytest.mark.parametrize(
    ("values", "target"),
    [([-1.0], 0), ([-1.0, -2.0], 2), ([-1.0, -2.0], -1), ([-1.0, -2.0], "yes"), ([-math.inf, -math.inf], 0), ([], 0)],
)
def test_there_is_none_without_a_right_answer_among_several(values: list[float], target: object) -> None:
    assert gold.p_gold(values, target) is None


def test_runs_made_before_have_it_too() -> None:
    """The golden run was written by an earlier version; TruthfulQA's MC2 is the same formula on a live sample."""
    run = RunDir.open(GOLDEN / "bundled")
    frame = run.samples("mmlu_anatomy")
    found = load_scores(GOLDEN / "bundled", p_gold=True).tasks["mmlu_anatomy"].series[gold.KEY].values
    for value, target, responses in zip(found, frame["target"], frame["responses"], strict=True):
        live = SimpleNamespace(loglikelihoods=[one["loglikelihood"] for one in responses], target=int(target))
        assert value == pytest.approx(mc2_sample(live), abs=5.1e-5)  # type: ignore[arg-type]


def test_tasks_without_choices_have_none() -> None:
    scores = load_scores(GOLDEN / "bundled", p_gold=True)
    assert {name for name, task in scores.tasks.items() if gold.KEY in task.series} == {"boolq", "mmlu_anatomy"}


def test_choices_asked_without_their_question_do_not_count(tmp_path: Path) -> None:
    """lm-eval's acc_mutual_info asks for every choice once more behind an empty prompt."""
    info, samples = made.choice_task("t", [True, False])
    more = [
        replace(
            one,
            requests=(*one.requests, *(Score("", asked.continuation) for asked in one.requests)),
            responses=(*one.responses, *one.responses),
        )
        for one in samples
    ]
    with_both = made.write_run(tmp_path / "both", [(info, more)])
    plain = made.write_run(tmp_path / "plain", [(info, samples)])
    series = [load_scores(path, p_gold=True).tasks["t"].series[gold.KEY] for path in (with_both, plain)]
    assert series[0] == series[1]


def test_a_baseline_keeps_it_to_the_last_digit_and_shows_it_when_asked(tmp_path: Path) -> None:
    info, samples = made.choice_task("t", made.answers(50, 0.5, 3))
    samples[7] = replace(samples[7], status="error", error="lost", metrics={})
    run = made.write_run(tmp_path / "run", [(info, samples)])
    file = save_baseline(run, tmp_path / "baseline.json")
    kept, made_of = load_scores(file, p_gold=True).tasks["t"], load_scores(run, p_gold=True).tasks["t"]
    assert kept.series[gold.KEY] == made_of.series[gold.KEY]
    assert kept.series[gold.KEY].values[7] is None
    assert kept.published[gold.KEY] == pytest.approx(made_of.published[gold.KEY])
    assert gold.KEY not in load_scores(file).tasks["t"].series
    assert gold.KEY not in load_scores(run).tasks["t"].series
