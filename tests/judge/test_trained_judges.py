"""Judges trained on TruthfulQA: the probability of yes, on scripted judges."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalkit.backends import mock
from evalkit.cli.app import app
from evalkit.contract.errors import UserError
from evalkit.judge import Judge
from evalkit.judge.truthful import judge_truth
from evalkit.spec.models import EngineSpec, ModelSpec

ROWS = [
    {"question": "Is the sky green?", "answer": "No, it is blue.", "human": "yes"},
    {"question": "Is the sky green?", "answer": " Yes. ", "human": "yes"},
    {"question": "Is the sky green?", "answer": "  ", "human": ""},
]
SCRIPT = [
    {"match": "\nA: No, it is blue.\nTrue:$", "continuation": "^ yes$", "loglikelihood": -0.5},
    {"match": "\nA: No, it is blue.\nTrue:$", "continuation": "^ no$", "loglikelihood": -2.5},
    {"match": "\nA: Yes.\nTrue:$", "continuation": "^ yes$", "loglikelihood": -3.0},
    {"match": "\nA: Yes.\nTrue:$", "continuation": "^ no$", "loglikelihood": -1.0},
]


def judge(*script: dict) -> Judge:
    return Judge(mock.load(ModelSpec(name="mock", backend="mock", args={"script": list(script)}), EngineSpec()))


def test_the_probability_of_yes() -> None:
    found = judge_truth(judge(*SCRIPT), ROWS)
    high = 1 / (1 + math.exp(-2))
    assert found.probabilities == (pytest.approx(high), pytest.approx(1 - high), None)
    assert (found.rate, found.mean_probability) == (0.5, pytest.approx(0.5))
    assert (found.n_judged, found.n_empty, found.n_failed) == (2, 1, 0)
    assert found.human is not None
    assert found.human.share == 0.5
    assert found.record["prompts"]["truth"]["text"].endswith("\nTrue:")


def test_information_has_a_judge_of_its_own() -> None:
    script = [{"match": "Helpful:$", "continuation": "^ yes$", "loglikelihood": -0.1}, {"loglikelihood": -9.0}]
    assert judge_truth(judge(*script), ROWS, "information").rate == 1.0
    assert judge_truth(judge(*script), ROWS, "truth").mean_probability == 0.5
    with pytest.raises(UserError, match="truth and of information"):
        judge_truth(judge(), ROWS, "style")
    assert judge_truth(judge(), [{"question": "q", "answer": ""}]).rate is None


def test_a_judge_that_fails_decides_nothing() -> None:
    found = judge_truth(judge({"error": "gone"}), ROWS[:1])
    assert (found.probabilities, found.rate, found.n_failed) == ((None,), None, 1)


def test_the_command_on_rows_and_on_a_run(tmp_path: Path) -> None:
    rows, script, out = tmp_path / "rows.jsonl", tmp_path / "script.yaml", tmp_path / "out.json"
    rows.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    script.write_text(json.dumps(SCRIPT))
    told = ["--model", "mock", "--model-args", f"script={script}", "-o", str(out)]
    done = CliRunner().invoke(app, ["judge", "truthful", str(rows), *told])
    assert done.exit_code == 0, done.output
    assert json.loads(out.read_text())["rate"] == 0.5
    run = tmp_path / "run"
    asked = ["run", "--model", "mock", "--tasks", "truthfulqa_gen@sample", "--limit", "3", "--output", str(run)]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, ["judge", "truthful", str(run), "--about", "information", *told])
    assert done.exit_code == 0, done.output
    assert json.loads(out.read_text())["about"] == "information"
    assert CliRunner().invoke(app, ["judge", "truthful", str(rows), "--about", "style", *told]).exit_code == 2
