"""Metrics of the package evaluate: tried before a model is loaded, with a direction."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.contract.errors import UserError
from evalkit.metrics.aggregate import aggregate
from evalkit.metrics.base import Metric, ScoringInput
from evalkit.metrics.finding import lookup
from evalkit.store import RunDir
from evalkit.task.definition import MetricEntry

# Looked for and not imported: it brings transformers, which every worker would wait for.
pytestmark = pytest.mark.skipif(find_spec("evaluate") is None, reason="needs the package evaluate")

LOCAL = """
import datasets
import evaluate


class Shouting(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description="share of answers that are the reference in capitals",
            citation="",
            inputs_description="",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions, references, offset=0.0):
        hits = [p == r.upper() for p, r in zip(predictions, references)]
        return {"shouting": sum(hits) / len(hits) + offset, "count": float(len(hits))}
"""


def test_a_local_metric_of_evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("evaluate")
    script = tmp_path / "shouting" / "shouting.py"
    script.parent.mkdir()
    script.write_text(LOCAL, encoding="utf-8")
    metric = lookup(f"evaluate:{script}", "generate")
    assert metric.name == "shouting"
    assert metric.prepare is not None
    metric.prepare({})
    samples = [ScoringInput(text="YES", target=["yes"]), ScoringInput(text="no", target="no")]
    found = aggregate(metric, [None, None], samples=samples)
    assert (found.value, found.n) == (0.5, 2)
    assert "|evaluate:" in found.signature
    assert aggregate(metric, [], samples=samples, args={"key": "count"}).value == 2.0
    assert aggregate(metric, [], samples=samples, args={"offset": 0.25}).value == 0.75
    with pytest.raises(UserError, match="shouting, count"):
        aggregate(metric, [], samples=samples, args={"key": "nothing"})
    assert aggregate(metric, []).value is None


SCRIPT = """
import datasets
import evaluate
import numpy


class One(evaluate.Metric):
    def _info(self):
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description="", citation="", inputs_description="",
            features=datasets.Features({"predictions": text, "references": text}),
        )

    def _compute(self, predictions, references):
        RETURN
"""


def script(folder: Path, name: str, returns: str) -> Metric:
    path = folder / name / f"{name}.py"
    path.parent.mkdir()
    path.write_text(SCRIPT.replace("RETURN", returns), encoding="utf-8")
    return lookup(f"evaluate:{path}", "generate")


@pytest.mark.parametrize(
    "returns",
    ["return 0.25", "return numpy.float32(0.25)", "return numpy.array(0.25)", "return {'wer': numpy.float64(0.25)}"],
)
def test_a_bare_number_is_one(tmp_path: Path, returns: str) -> None:
    metric = script(tmp_path, "wer", returns)
    assert metric.prepare is not None
    metric.prepare({})
    assert not metric.higher_is_better
    found = aggregate(metric, [], samples=[ScoringInput(text="a", target=["b"])])
    assert (found.value, found.n, found.higher_is_better) == (0.25, 1, False)


@pytest.mark.parametrize(
    ("returns", "args", "said"),
    [
        ("return {'good': 1.0, 'bad': 2.0}", {}, "choose one of its numbers with args: {key: ...}: good, bad"),
        ("return {'good': 1.0}", {"key": "best"}, "choose one of its numbers with args: {key: ...}: good"),
        ("return 0.5", {"key": "best"}, "gives one number, without a name: leave out args: {key: best}"),
        ("return {'scores': [1.0]}", {}, "gives no number over all answers"),
        ("return None", {}, "gives no number over all answers, but NoneType"),
    ],
)
def test_what_gives_no_number_is_told_before_a_model_is_loaded(
    tmp_path: Path, returns: str, args: dict[str, str], said: str
) -> None:
    metric = script(tmp_path, "made", returns)
    assert metric.prepare is not None
    with pytest.raises(UserError) as told:
        metric.prepare(args)
    assert said in str(told.value)


def test_what_refuses_the_trial_is_said_and_tried_again_on_the_answers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metric = script(tmp_path, "numbers", "return sum(map(float, predictions))")
    assert metric.prepare is not None
    metric.prepare({})
    assert "it refuses these answers: ValueError" in caplog.text
    assert aggregate(metric, [], samples=[ScoringInput(text="2.5", target=["b"])]).value == 2.5
    with pytest.raises(UserError, match="refuses these answers"):
        aggregate(metric, [], samples=[ScoringInput(text="none", target=["b"])])


def test_a_direction_is_known_or_said() -> None:
    assert not lookup("evaluate:wer", "generate").higher_is_better
    assert lookup("evaluate:rouge", "generate").higher_is_better
    assert not lookup("evaluate:me/slips:lower", "generate").higher_is_better
    assert lookup("evaluate:me/mae:higher", "generate").higher_is_better
    assert lookup("evaluate:me/slips:lower", "generate").name == "slips"
    assert MetricEntry(metric="evaluate:me/slips:lower").key == "slips,none"
    assert MetricEntry(metric="evaluate:me/slips.py").key == "slips,none"


def test_a_metric_that_refuses_the_answers_takes_no_other_along(tmp_path: Path) -> None:
    script(tmp_path, "numbers", "return sum(map(float, predictions))")
    asked = [
        "run", "--model", "mock", "--tasks", "triviaqa@sample", "--limit", "2", "--quiet",
        "--metrics", f"evaluate:{tmp_path / 'numbers'},rouge1", "--output", str(tmp_path / "run"),
    ]  # fmt: skip
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 2, done.output
    assert "task triviaqa: metric evaluate:" in " ".join(done.output.split())
    (result,) = RunDir.open(tmp_path / "run").result().tasks
    assert [one.name for one in result.metrics] == ["em", "f1", "exact_match", "rouge1"]
    assert result.problem is not None
    assert "it refuses these answers: ValueError" in result.problem


def test_a_run_with_a_bare_number(tmp_path: Path) -> None:
    script(tmp_path, "wer", "return 0.25")
    asked = [
        "run", "--model", "mock", "--tasks", "triviaqa@sample", "--limit", "2", "--quiet",
        "--metrics", f"evaluate:{tmp_path / 'wer'}", "--output", str(tmp_path / "run"),
    ]  # fmt: skip
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    assert "wer" in done.output
