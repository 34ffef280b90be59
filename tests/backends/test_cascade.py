"""Cascades: who answers what, at which price, and what each model would have said alone."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from evalkit.backends import opening
from evalkit.backends.cascade import CascadeBackend
from evalkit.backends.confidence import confidence
from evalkit.contract.errors import UserError
from evalkit.contract.types import Document, Generate, Request, Response, Score
from evalkit.runner.evaluate import execute
from evalkit.spec.models import EngineSpec, ModelSpec, RunSpec, TaskSpec


def stage(name: str, *rules: dict[str, Any]) -> dict[str, Any]:
    return {"name": "mock", "label": name, "args": {"script": list(rules), "seed": len(name)}}


def cascade(*stages: dict[str, Any], engine: EngineSpec = EngineSpec(), **args: Any) -> CascadeBackend:
    backend = opening.open_backend(ModelSpec(name="cascade:x,y", args={"stages": list(stages), **args}), engine)
    assert isinstance(backend, CascadeBackend)
    return backend


SURE = {"match": "easy", "continuation": "yes", "loglikelihood": -0.1}
NOT_SURE = {"match": "hard", "continuation": "yes", "loglikelihood": -5.0}
NO = {"continuation": "no", "loglikelihood": -5.1}
DEAR = {"match": "hard", "continuation": "no", "loglikelihood": -0.01}


def run(backend: CascadeBackend, documents: list[tuple[Request, ...]]) -> list[Response]:
    backend.bind([Document(i, {}, str(i)) for i in range(len(documents))], documents)
    backend.finish()
    flat = [request for asked in documents for request in asked]
    found = dict(backend.respond(flat))
    return [found[index] for index in range(len(flat))]


def choices(text: str) -> tuple[Request, ...]:
    return (Score(text, "yes"), Score(text, "no"))


def test_a_document_goes_on_as_a_whole_where_the_cheap_model_is_not_sure() -> None:
    backend = cascade(stage("cheap", SURE, NOT_SURE, NO), stage("expensive", DEAR), prices=[1.0, [10.0, 20.0]])
    answers = run(backend, [choices("easy"), choices("hard")])
    assert [one.loglikelihood for one in answers[:3]] == pytest.approx([-0.1, -5.1, answers[2].loglikelihood])
    assert answers[2].loglikelihood != -5.0  # "yes" of the hard one comes from the second model, as does "no"
    assert answers[3].loglikelihood == pytest.approx(-0.01)
    report = backend.report(()).values
    first, second = report["stages"]
    assert (first["documents_asked"], first["documents_answered"], first["share_answered"]) == (2, 1, 0.5)
    assert (second["documents_asked"], second["documents_answered"], second["share_answered"]) == (1, 1, 0.5)
    assert first["cost"] == pytest.approx((first["prompt_tokens"] + first["output_tokens"]) / 1e6)
    assert second["cost"] == pytest.approx((10 * second["prompt_tokens"] + 20 * second["output_tokens"]) / 1e6)
    assert report["cost"] == pytest.approx(first["cost"] + second["cost"])
    assert second["cost_alone"] > second["cost"]
    backend.close()


def test_each_model_alone_is_asked_everything_unless_told_not_to() -> None:
    documents = [choices("easy"), choices("hard")]
    both = cascade(stage("cheap", SURE, NOT_SURE, NO), stage("expensive", DEAR))
    run(both, documents)
    alone = both.alternatives()
    assert [[one.status for one in stage] for stage in alone] == [["ok"] * 4] * 2
    assert alone[0][2].loglikelihood == pytest.approx(-5.0)
    lean = cascade(stage("cheap", SURE, NOT_SURE, NO), stage("expensive", DEAR), alone=False)
    run(lean, documents)
    assert lean.alternatives() == []
    assert len(lean.stages[1].responses) == 2


def test_generated_answers_are_as_sure_as_their_own_tokens() -> None:
    wrong = {"match": "q1", "continuation": "guess", "loglikelihood": -50.0}
    backend = cascade(
        stage("cheap", wrong, {"match": "q1", "text": "guess"}, {"match": "q2", "text": "known"}),
        stage("expensive", {"text": "better"}),
        threshold=0.5,
    )
    answers = run(backend, [(Generate("q1", max_tokens=9),), (Generate("q2", max_tokens=9),)])
    assert [one.text for one in answers] == ["better", "known"]


def test_an_error_of_the_cheap_model_is_handed_on() -> None:
    backend = cascade(stage("cheap", {"error": "out of order"}), stage("expensive", DEAR))
    answers = run(backend, [choices("hard")])
    assert [one.status for one in answers] == ["ok", "ok"]
    assert backend.report(()).values["stages"][0]["documents_answered"] == 0


def test_confidence() -> None:
    pair = [(Score("c", one), Response(loglikelihood=value)) for one, value in (("a", math.log(3)), ("b", 0.0))]
    assert confidence(pair, "max_prob") == pytest.approx(0.75)
    assert confidence(pair, "margin") == pytest.approx(0.5)
    assert confidence([(Score("c", "a"), Response(status="error", error="x"))], "margin") == 0.0
    text = Response(loglikelihood=-4.0, output_tokens=2)
    assert confidence([(Generate("c"), text)], "max_prob") == pytest.approx(math.exp(-2))


def test_stages_share_the_cache_with_runs_of_their_own(tmp_path: Path) -> None:
    engine = EngineSpec(cache=tmp_path / "cache")
    documents = [choices("easy"), choices("hard")]
    first = cascade(stage("cheap", SURE), stage("expensive", DEAR), engine=engine)
    run(first, documents)
    again = cascade(stage("cheap", SURE), stage("expensive", DEAR), engine=engine)
    run(again, documents)
    assert [one.backend.rows_computed for one in again.stages] == [0, 0]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("cascade:mock", {}, "at least two models"),
        ("cascade:mock,mock", {"threshold": 2}, "one number from 0 to 1"),
        ("cascade:mock,mock", {"threshold": [0.1, 0.2]}, "the first 1 models"),
        ("cascade:mock,mock", {"prices": [1]}, "1 prices for 2 models"),
        ("cascade:mock,mock", {"rule": "vibes"}, "rule"),
        ("cascade:mock,mock", {"treshold": 1}, "does not know treshold"),
        ("cascade:a,b", {"stages": ["mock", "cascade:mock,mock"]}, "cascade itself"),
        ("cascade:mock,./nowhere.gguf", {}, "no such file"),
    ],
)
def test_bad_arguments(name: str, args: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        opening.open_backend(ModelSpec(name=name, args=args), EngineSpec())
    assert "\n" not in str(caught.value)


def test_a_run_reports_shares_and_every_model_alone(tmp_path: Path) -> None:
    model = ModelSpec(name="cascade:mock,mock", args={"stages": [stage("cheap"), stage("expensive")], "threshold": 0.9})
    spec = RunSpec(
        model=model,
        tasks=(TaskSpec(name="boolq"), TaskSpec(name="triviaqa")),
        sample=True,
        limit=5,
        output=tmp_path / "run",
    )
    result = execute(spec)
    report = result.counters["cascade"]
    assert report["documents"] == 10
    assert sum(one["documents_answered"] for one in report["stages"]) == 10
    assert [one["model"] for one in report["stages"]] == ["cheap", "expensive"]
    assert set(report["stages"][0]["alone"]) == {"boolq", "triviaqa"}
    alone = execute(
        RunSpec(
            model=ModelSpec(**stage("cheap")),
            tasks=(TaskSpec(name="boolq"),),
            sample=True,
            limit=5,
            output=tmp_path / "a",
        )
    )
    assert report["stages"][0]["alone"]["boolq"]["acc,none"] == alone.tasks[0].metrics[0].value
    written = json.loads((tmp_path / "run" / "results.json").read_text())
    assert "cascade" in json.dumps(written)
