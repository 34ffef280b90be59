"""Tasks made of other tasks: false confidence, none of the above, orders, labels, templates."""

from __future__ import annotations

import json

import pytest
from probe_runs import metrics_of
from typer.testing import CliRunner

import evalkit
from evalkit.cli.app import app
from evalkit.contract.errors import UserError
from evalkit.contract.types import Document, MetricResult, SampleResult
from evalkit.probes.robustness import compare
from evalkit.spec.models import RunSpec
from evalkit.task import sample as samples
from evalkit.task.catalog import Catalog, resolve


def spec(tmp_path, *names: str, script: list[dict] | None = None, **more) -> RunSpec:
    model = {"name": "mock", "backend": "mock", "args": {"script": script or []}}
    tasks = [{"name": name} for name in names]
    return RunSpec.model_validate({"model": model, "tasks": tasks, "output": tmp_path / "run", "sample": True, **more})


def documents(tmp_path, name: str):
    (task,) = resolve(spec(tmp_path, name)).tasks
    return [document.data for document in task.documents(None)]


@pytest.mark.parametrize("inner", ["arc_easy", "mmlu_anatomy"])
def test_a_proposed_answer_is_right_or_wrong(tmp_path, inner):
    rows = documents(tmp_path, f"fct:{inner}")
    assert {row["proposed_is_right"] for row in rows} == {True, False}
    assert all(row["gold"] == (0 if row["proposed_is_right"] else 1) for row in rows)
    assert not any(row["question"].rstrip().endswith("Answer:") for row in rows)
    agrees = metrics_of(f"fct:{inner}", {"prefer": "yes"})
    assert agrees["false_confidence"] == 1.0
    assert agrees["acc"] == pytest.approx(sum(row["proposed_is_right"] for row in rows) / len(rows))
    assert metrics_of(f"fct:{inner}", {"prefer": "no"})["false_confidence"] == 0.0


@pytest.mark.parametrize("inner", ["arc_easy", "mmlu_anatomy"])
def test_none_of_the_above_takes_the_right_options_place(tmp_path, inner):
    rows = documents(tmp_path, f"nota:{inner}")
    for row in rows:
        shown = row["choices"][row["gold"]] if inner == "arc_easy" else row["prompt"]
        assert "None of the above" in shown
    if inner == "arc_easy":
        assert metrics_of("nota:arc_easy", {"prefer": "None of the above"})["acc"] == 1.0


def test_a_model_that_prefers_the_first_place_is_found_out(tmp_path):
    found = metrics_of("order:mmlu_anatomy", {"prefer": "A"})
    assert found["first_place"] == 1.0
    assert (found["acc"], found["consistency"], found["always_right"]) == (0.25, 0.0, 0.0)


def test_a_model_that_reads_the_options_is_consistent(tmp_path):
    catalog = Catalog.of()
    definition = catalog.tasks["mmlu_anatomy"][0]
    letters = "ABCD"
    script = []
    for row in samples.rows(definition.sample, "test"):
        right = row["choices"][row["answer"]]
        script += [{"match": rf"\n{letter}\. {right}\n", "prefer": letter} for letter in letters]
    found = metrics_of("order:mmlu_anatomy", *script)
    assert (found["acc"], found["consistency"], found["always_right"], found["spread"]) == (1.0, 1.0, 1.0, 0.0)
    assert found["first_place"] == 0.25


def test_equal_documents_are_no_certainty():
    """All right or all wrong, the interval is that of a share of so many documents; resampling would find no width."""
    for rate in (0.0, 1.0):
        found = {one.name: one for one in _over_variants([[rate, rate]] * 16)}
        for name in ("worst", "best"):
            low, high = found[name].interval
            assert (low, high) == found["always_right"].interval
            assert 0.15 < high - low < 0.25
    found = {one.name: one for one in _over_variants([[1.0, 0.0]] * 16)}
    assert found["worst"].interval[1] > 0.15
    assert found["best"].interval[0] < 0.85


def _over_variants(table: list[list[float]]) -> tuple[MetricResult, ...]:
    """What `compare` makes of documents that are right (1) or wrong (0) in each variant."""
    samples = [
        SampleResult(
            Document(number, {"of": item, "variant": str(place), "order": [0, 1]}, str(number)),
            (),
            (),
            0,
            metrics={"acc,none": right},
            extra={"prediction": 0},
        )
        for number, (item, place, right) in enumerate(
            (item, place, right) for item, row in enumerate(table) for place, right in enumerate(row)
        )
    ]
    return compare(samples, 1, False)


def test_a_model_that_fails_in_one_template(tmp_path):
    catalog = Catalog.of()
    definition = catalog.tasks["mmlu_anatomy"][0]
    script = [{"match": "question of an exam", "prefer": "nothing"}]
    for row in samples.rows(definition.sample, "test"):
        right = row["choices"][row["answer"]]
        stem = row["question"].strip()[:40].replace("?", ".")
        script += [
            {"match": stem, "continuation": f"^ ?{'ABCD'[row['answer']]}$", "loglikelihood": -0.1},
            {"match": stem, "continuation": rf"^ ?{right}$", "loglikelihood": -0.1},
            {"match": stem, "loglikelihood": -9.0},
        ]
    found = metrics_of("templates:mmlu_anatomy", *script)
    assert found["best"] == 1.0
    assert found["worst"] < 1.0
    assert 0 < found["spread"] < found["best"] - found["worst"], "less what noise alone would make of equal templates"


def test_labels_of_every_kind(tmp_path):
    rows = documents(tmp_path, "labels:arc_easy")
    assert {row["variant"] for row in rows} == {"letters", "small", "digits", "roman", "mixed"}
    mixed = next(row for row in rows if row["variant"] == "mixed" and len(row["choices"]) == 4)
    assert sorted(mixed["choices"]) == list("ABCD")
    assert mixed["choices"] != list("ABCD")


def test_a_group_gives_a_group(tmp_path):
    found = resolve(spec(tmp_path, "nota:mmlu_stem", "nota:mmlu_anatomy"))
    assert "nota:mmlu_stem" in {group.name for group in found.groups}
    assert len({task.info.name for task in found.tasks}) == len(found.tasks)
    assert all(task.info.name.startswith("nota:mmlu_") for task in found.tasks)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fct:triviaqa", "no multiple-choice task"),
        ("fct:", "write fct:TASK"),
        ("nota:nosuchtask", "unknown task"),
        ("order:lambada_openai", "no multiple-choice task"),
    ],
)
def test_what_cannot_be_made(name, message):
    with pytest.raises(UserError, match=message):
        Catalog.of().require(name)


def test_the_groups_resolve(tmp_path):
    names = {task.info.name for task in resolve(spec(tmp_path, "hallucination", "long-context", "robustness")).tasks}
    assert {"medhalt_fake", "halueval_general", "needle:single", "stuffing", "reversal"} <= names


def test_a_run_of_orders_is_verified_and_says_what_was_not(tmp_path):
    folder = tmp_path / "run"
    evalkit.evaluate("mock", ["order:mmlu_anatomy@bundled"], output=folder, progress=False)
    verified = CliRunner().invoke(app, ["verify", str(folder)])
    assert verified.stdout == f"{folder}: sound\n"
    assert "not recomputed" in verified.stderr
    assert all(f"order:mmlu_anatomy: {name},none" in verified.stderr for name in ("worst", "consistency", "spread"))
    assert "acc,none" not in verified.stderr
    results = json.loads((folder / "results.json").read_text("utf-8"))
    (task,) = results["evalkit"]["tasks"]
    (accuracy,) = [one for one in task["metrics"] if one["name"] == "acc"]
    results["results"]["order:mmlu_anatomy"]["acc,none"] = accuracy["value"] = accuracy["value"] + 0.125
    (folder / "results.json").write_text(json.dumps(results), "utf-8")
    found = CliRunner().invoke(app, ["verify", str(folder)])
    assert found.exit_code == 1
    assert "order:mmlu_anatomy: acc,none: the samples' mean is" in found.output
