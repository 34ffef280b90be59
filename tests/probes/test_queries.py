"""The tasks of SQL: gold queries are right on every item whose database is there, and a model's reply is judged."""

from __future__ import annotations

import pytest
from probe_runs import metrics_of
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.contract.types import PromptStyle, Response
from evalkit.data import open_source
from evalkit.spec.models import RunSpec
from evalkit.task.catalog import resolve


def answered_by_gold(name: str, mirror):
    """The samples of a task whose every reply is its gold query, and the task."""
    spec = RunSpec.model_validate({"model": {"name": "mock", "backend": "mock"}, "tasks": [{"name": name}]})
    (task,) = resolve(spec).tasks
    documents = task.documents(open_source(mirror))
    asked = task.requests(documents, PromptStyle())
    return task, [
        task.score(one, requests, [Response(text=f" {task.target(one).partition(';')[0]}", finish="stop")])
        for one, requests in zip(documents, asked, strict=True)
    ]


def test_gold_queries_are_right_on_every_item_of_spider(mirror):
    _, samples = answered_by_gold("spider:create", mirror)
    scored = [one for one in samples if one.status == "ok"]
    assert len(samples) == 624
    assert len(scored) == 293
    assert all(one.metrics["execution_accuracy,none"] == 1.0 for one in scored)
    others = {one.error for one in samples if one.status == "unscored"}
    assert len(others) == 8
    assert all("is not in the mirror" in error for error in others)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "number"), [("gen", 127), ("basic", 24), ("advanced", 38)])
def test_gold_queries_are_right_on_every_item_of_defogs_sets(mirror, name, number):
    pytest.importorskip("sqlglot", reason="needs sqlglot (pip install 'evalkit-harness[sql]')")
    task, samples = answered_by_gold(f"defog:{name}", mirror)
    assert len(samples) == number
    assert {one.metrics["sql_correct,none"] for one in samples} == {1.0}
    found = {one.name: one for one in task.summarize(samples)}
    by_category = [one for key, one in found.items() if not key.startswith("sql_")]
    assert sum(one.n for one in by_category) == number
    assert {one.value for one in by_category} == {1.0}


def test_prompts_show_the_tables_in_two_styles():
    shown = {}
    for style in ("create", "compact"):
        spec = RunSpec.model_validate(
            {"model": {"name": "mock", "backend": "mock"}, "tasks": [{"name": f"spider:{style}"}], "sample": True}
        )
        (task,) = resolve(spec).tasks
        documents = task.documents(open_source(None))
        shown[style] = next(iter(task.requests(documents[:1], PromptStyle())))[0].context
    assert "CREATE TABLE ship (\n  ship_id number,\n" in shown["create"]
    assert "FOREIGN KEY (home) REFERENCES harbour(harbour_id)" in shown["create"]
    assert "ship(ship_id, name, built, tonnage, home)" in shown["compact"]
    assert "CREATE" not in shown["compact"]
    assert all(text.endswith("nothing else.\nSQL:") for text in shown.values())


def test_replies_are_run():
    counted = {"match": "Question: How many ships are there", "text": " SELECT count(*) FROM ship;"}
    broken = {"match": "Question", "text": " SELECT nothing FROM nowhere;"}
    found = metrics_of("spider:compact", counted, broken)
    assert found["execution_accuracy"] == found["executed"] == pytest.approx(1 / 22)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("spider:both", "choose one of create, compact"),
        ("spider:table=ship", "there is no parameter 'table'"),
        ("spider:create", "the Hub's copy has no databases"),
    ],
)
def test_mistakes_are_one_line(task, words, monkeypatch, tmp_path):
    monkeypatch.delenv("EVALKIT_DATA_DIR", raising=False)
    arguments = ["run", "--model", "mock", "--tasks", task, "--output", str(tmp_path / "run")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert words in " ".join(done.output.split())
    assert "Traceback" not in done.output
