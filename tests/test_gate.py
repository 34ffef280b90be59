"""The gate: outcomes, exit codes, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import made_runs as made
import pytest
import typer
from typer.testing import CliRunner

from evalkit.analysis.baseline import save_baseline
from evalkit.analysis.gate import gate
from evalkit.analysis.policy import Average, Budget, Policy, Rule, load_policy
from evalkit.cli.gate import gate as command
from evalkit.contract.errors import UserError
from evalkit.render.verdict import gate_junit, gate_markdown

BASE = made.answers(400, 0.6, 1)


def run(folder: Path, outcomes: list[bool], speed: float = 100.0, cpu: str = "one", name: str = "t") -> Path:
    return made.write_run(
        folder,
        [made.choice_task(name, outcomes)],
        label=folder.name,
        counters={"throughput": {"tokens_per_s": speed}},
        environment={"cpu": {"model": cpu}},
    )


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return run(tmp_path / "base", BASE)


def test_same_answers_pass(tmp_path: Path, base: Path) -> None:
    result = gate(base, run(tmp_path / "c", BASE))
    assert (result.outcome, result.exit_code) == ("pass", 0)
    check = result.checks[0]
    assert (check.kind, check.outcome, check.margin, check.n) == ("margin", "pass", 0.02, 400)


def test_clearly_worse_is_a_regression(tmp_path: Path, base: Path) -> None:
    worse = made.correlated(BASE, 0.3, 0.0, 2)
    result = gate(base, run(tmp_path / "c", worse))
    assert (result.outcome, result.exit_code) == ("regression", 1)
    assert "allowed loss 2.0 points" in result.checks[0].message


def test_too_few_items_says_how_many(tmp_path: Path) -> None:
    few = made.answers(20, 0.5, 1)
    a, b = run(tmp_path / "a", few), run(tmp_path / "b", made.correlated(few, 0.1, 0.1, 3))
    result = gate(a, b)
    assert (result.outcome, result.exit_code) == ("inconclusive", 3)
    check = result.checks[0]
    assert check.items_needed is None  # the task has no more
    assert check.margin_enough is not None
    assert check.margin_enough > 0.02
    assert f"20 items, all there are, are enough for a margin of {100 * check.margin_enough:.1f}" in check.message
    assert gate(a, b, Policy(inconclusive="pass")).exit_code == 0
    assert gate(a, b, Policy(inconclusive="regression")).exit_code == 1


def test_margin_and_floor_and_metric(tmp_path: Path, base: Path) -> None:
    slightly = [right and number % 20 != 0 for number, right in enumerate(BASE)]
    candidate = run(tmp_path / "c", slightly)
    assert gate(base, candidate, Policy(tasks={"t": Rule(margin=0.2)})).outcome == "pass"
    floor = gate(base, candidate, Policy(tasks={"t": Rule(margin=0.2, floor=0.9, metric="acc")}))
    assert floor.outcome == "regression"
    assert [check.kind for check in floor.checks if check.outcome == "regression"] == ["floor"]


def test_required_tasks(tmp_path: Path, base: Path) -> None:
    other = run(tmp_path / "c", BASE, name="u")
    result = gate(base, other)
    assert [(check.kind, check.task) for check in result.checks if check.outcome == "regression"] == [("presence", "t")]
    ignored = gate(base, other, Policy(others="ignore"))
    assert ignored.exit_code == 3
    assert "nothing was judged" in ignored.checks[-1].message


def test_misspelt_names_are_usage_errors(tmp_path: Path, base: Path) -> None:
    candidate = run(tmp_path / "c", BASE, name="hellaswag")
    with pytest.raises(UserError, match="did you mean hellaswag"):
        gate(base, candidate, Policy(tasks={"helaswag": Rule()}))
    with pytest.raises(UserError, match="no metric 'f1'"):
        gate(base, candidate, Policy(tasks={"hellaswag": Rule(metric="f1")}))


def test_error_rate_ceiling(tmp_path: Path, base: Path) -> None:
    from dataclasses import replace

    task, samples = made.choice_task("t", BASE)
    failed = [replace(one, status="error", error="x", metrics={}) if one.document.id < 4 else one for one in samples]
    candidate = made.write_run(tmp_path / "c", [(task, failed)])
    result = gate(base, candidate)
    assert result.outcome == "regression"
    assert any("4 of 400 documents ended in an error (1.00%)" in check.message for check in result.checks)
    assert gate(base, candidate, Policy(max_error_rate=0.02)).outcome == "pass"


def test_partial_candidate_is_undecided(tmp_path: Path, base: Path) -> None:
    candidate = made.write_run(tmp_path / "c", [made.choice_task("t", BASE)], partial=True)
    assert gate(base, candidate).exit_code == 3


@pytest.mark.parametrize(
    ("speed", "cpu", "outcome"),
    [(95.0, "one", "pass"), (80.0, "one", "regression"), (80.0, "two", "skipped")],
)
def test_performance_only_on_the_same_hardware(
    tmp_path: Path, base: Path, speed: float, cpu: str, outcome: str
) -> None:
    policy = Policy(performance=(Budget(counter="throughput.tokens_per_s", higher_is_better=True, max_change=0.1),))
    result = gate(base, run(tmp_path / "c", BASE, speed, cpu), policy)
    assert result.checks[-1].outcome == outcome
    assert result.outcome == ("pass" if outcome == "skipped" else outcome)


def test_missing_counter_is_skipped_unless_required(tmp_path: Path, base: Path) -> None:
    candidate = run(tmp_path / "c", BASE)
    budget = Budget(counter="memory.peak_bytes", higher_is_better=False, limit=1e9)
    assert gate(base, candidate, Policy(performance=(budget,))).exit_code == 0
    needed = budget.model_copy(update={"required": True})
    assert gate(base, candidate, Policy(performance=(needed,))).exit_code == 3


def test_baseline_file_gates_as_the_run_does(tmp_path: Path, base: Path) -> None:
    file = save_baseline(base, tmp_path / "baseline.json")
    candidate = run(tmp_path / "c", made.correlated(BASE, 0.3, 0.0, 2))
    assert gate(file, candidate).checks == gate(base, candidate).checks


def test_policy_file(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text(
        "tasks:\n  t:\n    margin: 0.01\nperformance:\n  - counter: x\n    higher_is_better: true\n    limit: 3\n"
    )
    policy = load_policy(file)
    assert policy.tasks["t"].margin == 0.01
    assert policy.performance[0].limit == 3
    file.write_text("alpha: 0.05\ntasks:\n  t:\n    margn: 0.01\n")
    with pytest.raises(UserError, match=r"gate\.yaml:4: tasks\.t\.margn: Extra inputs"):
        load_policy(file)
    file.write_text("tasks: {t: {margin: 0.1, relative_margin: 0.1}}\n")
    with pytest.raises(UserError, match="not both"):
        load_policy(file)
    file.write_text("a: [\n")
    with pytest.raises(UserError, match="not valid YAML"):
        load_policy(file)
    with pytest.raises(UserError, match="cannot be read"):
        load_policy(tmp_path / "none.yaml")
    file.write_text("")
    assert load_policy(file) == Policy()


def test_every_key_of_a_policy_is_documented() -> None:
    page = (Path(__file__).parents[1] / "docs" / "ci.md").read_text("utf-8")
    keys = {name for model in (Policy, Rule, Average, Budget) for name in model.model_fields}
    assert not {key for key in keys if f"`{key}`" not in page}


def test_keys_of_the_resampling_of_old_are_refused_in_a_line() -> None:
    with pytest.raises(ValueError, match="resamples: nothing is resampled any more; leave it out"):
        Policy.model_validate({"resamples": 1000})


def test_junit_and_markdown(tmp_path: Path) -> None:
    few = made.answers(20, 0.5, 1)
    name = "t<&\x1b|"
    a, b = run(tmp_path / "a", few, name=name), run(tmp_path / "b", made.correlated(few, 0.9, 0.0, 3), name=name)
    budget = Budget(counter="no.such", higher_is_better=True, limit=1)
    result = gate(a, b, Policy(performance=(budget,)))
    root = ET.fromstring(gate_junit(result))
    suite = root.find("testsuite")
    assert suite is not None
    counts = {"tests": "2", "failures": "1", "errors": "0", "skipped": "1"}
    assert suite.attrib == {"name": "evalkit gate", **counts, "time": "0"}
    assert {name: root.attrib[name] for name in counts} == counts
    assert suite[0].attrib["name"] == "margin t<&⟨U+001B⟩| acc,none"
    (failure,) = suite.iter("failure")
    assert failure.attrib == {"message": failure.text, "type": "regression"}
    assert failure.text == next(check.message for check in result.checks if check.outcome == "regression")
    text = gate_markdown(result)
    assert "### evalkit gate: regression" in text
    assert "t&lt;&amp;⟨U+001B⟩\\|" in text


def test_command_exit_codes_and_summary(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer()
    app.command()(command)
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    good, bad = run(tmp_path / "good", BASE), run(tmp_path / "bad", made.correlated(BASE, 0.3, 0.0, 2))
    shown = CliRunner().invoke(
        app, ["--baseline", str(base), "--candidate", str(good), "--junit", str(tmp_path / "j.xml")]
    )
    assert shown.exit_code == 0, shown.output
    assert "Pass: shown to be no worse" in shown.output
    assert (tmp_path / "j.xml").is_file()
    failed = CliRunner().invoke(app, ["--baseline", str(base), "--candidate", str(bad), "--json"])
    assert failed.exit_code == 1
    assert json.loads(failed.output)["outcome"] == "regression"
    assert summary.read_text("utf-8").count("### evalkit gate") == 2
