"""p_gold: the right answer's probability, from runs of today and of before."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import made_runs as made
import pytest

from evalkit.analysis import gold
from evalkit.analysis.baseline import load_scores, save_baseline
from evalkit.analysis.gate import gate
from evalkit.analysis.policy import Policy, Rule
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


# -- the gate ----------------------------------------------------------------------------------------------------------


def task(name: str, sure: float, n: int = 300) -> tuple[object, list[object]]:
    """Always the right choice first, by ``sure`` nats."""
    info, samples = made.choice_task(name, [True] * n)
    changed = [
        replace(
            one,
            responses=tuple(
                replace(answer, loglikelihood=-1.0 + (sure if place == one.target else 0.0))
                for place, answer in enumerate(one.responses)
            ),
        )
        for one in samples
    ]
    return info, changed  # type: ignore[return-value]


def test_the_gate_sees_what_accuracy_does_not(tmp_path: Path) -> None:
    """Every answer stays right; the model only becomes less sure of it."""
    base = made.write_run(tmp_path / "base", [task("t", 2.0)])  # type: ignore[list-item]
    less = made.write_run(tmp_path / "less", [task("t", 1.5)])  # type: ignore[list-item]
    assert gate(base, less).outcome == "pass"
    both = gate(base, less, Policy(p_gold=0.02))
    assert [(one.metric, one.outcome) for one in both.checks] == [("acc,none", "pass"), (gold.KEY, "regression")]
    alone = gate(base, less, Policy(default=Rule(metric="p_gold", margin=0.5)))
    assert [(one.metric, one.outcome) for one in alone.checks] == [(gold.KEY, "pass")]


def test_an_average_has_a_p_gold_of_its_own(tmp_path: Path) -> None:
    base, same = (made.write_run(tmp_path / name, [task("a", 2.0), task("b", 2.0)]) for name in ("x", "y"))  # type: ignore[list-item]
    found = gate(base, same, Policy.model_validate({"average": ["a", "b"], "p_gold": 0.02}))
    assert [(one.task, one.metric, one.outcome) for one in found.checks if one.counts] == [
        ("average", "acc,none", "pass"),
        ("average", gold.KEY, "pass"),
    ]


def test_without_choices_it_is_not_judged(tmp_path: Path) -> None:
    info = made.info("t", kind="generate", primary="f1,none", higher_is_better={"f1,none": True})
    samples = [made.text_sample(number, 0.5 + 0.001 * number) for number in range(50)]
    runs = [made.write_run(tmp_path / name, [(info, samples)]) for name in ("a", "b")]
    found = gate(*runs, Policy(p_gold=0.02, default=Rule(margin=0.5)))
    assert found.exit_code == 3
    assert [one.message for one in found.checks if one.outcome == "inconclusive"] == [
        "not judged: no task here has choices"
    ]


def test_a_baseline_saved_before_says_what_to_do(tmp_path: Path) -> None:
    run = made.write_run(tmp_path / "run", [task("t", 2.0)])  # type: ignore[list-item]
    record = json.loads(save_baseline(run, tmp_path / "b.json").read_text())
    for one in record["tasks"].values():
        del one["series"][gold.KEY], one["published"][gold.KEY], one["rising"][gold.KEY]
    (tmp_path / "old.json").write_text(json.dumps(record))
    found = gate(tmp_path / "old.json", run, Policy(p_gold=0.02))
    assert found.exit_code == 3
    assert any("save again" in one.message for one in found.checks)
