"""How many few-shot examples a task has, and why: every source in its turn, in a run's record and in `tasks show`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.contract.errors import UserError
from evalkit.contract.types import Shots
from evalkit.spec.models import ModelSpec, RunSpec, TaskSpec
from evalkit.task import shots
from evalkit.task.catalog import Catalog, resolve

GROUPS = {
    "inner": "name: inner\nchildren: [{task: boolq, num_fewshot: 2}, piqa]\n",
    "outer": "name: outer\nnum_fewshot: 1\nchildren: [inner, openbookqa]\n",
    "clash": "name: clash\nchildren: [inner, {task: boolq, num_fewshot: 3}]\n",
    "greedy": "name: greedy\nchildren: [{task: boolq, num_fewshot: 900}]\n",
    "stiff": "name: stiff\nchildren: [{task: truthfulqa_mc1, num_fewshot: 4}]\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Groups that fix shots."""
    for name, text in GROUPS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "group.yaml").write_text(text, "utf-8")
    return tmp_path


def decided(folder: Path, *tasks: TaskSpec, **run) -> dict[str, Shots | None]:
    spec = RunSpec(model=ModelSpec(name="mock"), tasks=tasks, include_path=(folder,), **run)
    return {task.info.name: task.info.shots for task in resolve(spec).tasks}


@pytest.mark.parametrize(
    ("entry", "run", "number", "source", "why"),
    [
        (TaskSpec(name="boolq"), {}, 0, "definition", "the task's definition"),
        (TaskSpec(name="boolq"), {"num_fewshot": 0}, 0, "flag", "--num-fewshot"),
        (TaskSpec(name="boolq"), {"num_fewshot": 3}, 3, "flag", "--num-fewshot"),
        (TaskSpec(name="boolq@4shot"), {"num_fewshot": 3}, 4, "suffix", "@4shot after the name"),
        (TaskSpec(name="boolq@0-shot"), {"num_fewshot": 3}, 0, "suffix", "@0shot after the name"),
        (TaskSpec(name="boolq", num_fewshot=4), {"num_fewshot": 3}, 4, "entry", "num_fewshot of the entry in tasks"),
        (TaskSpec(name="inner"), {"num_fewshot": 3}, 2, "group", "fixed by the group inner"),
        (TaskSpec(name="inner@7shot"), {}, 2, "group", "fixed by the group inner"),
        (TaskSpec(name="greedy"), {}, 900, "group", "fixed by the group greedy"),
        (TaskSpec(name="greedy@bundled"), {}, 10, "bundled", "as many as are bundled; the group greedy fixes 900"),
        (TaskSpec(name="greedy"), {"sample": True}, 10, "bundled", "as many as are bundled; the group greedy fixes 900"),  # noqa: E501
    ],
)  # fmt: skip
def test_what_decides(folder: Path, entry: TaskSpec, run, number: int, source: str, why: str) -> None:
    assert decided(folder, entry, **run)["boolq"] == Shots(number, source, why)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["truthfulqa_mc1", "truthfulqa_mc1@5shot", "stiff"])
def test_a_prompt_that_is_written_with_its_examples_keeps_them(folder: Path, name: str) -> None:
    found = decided(folder, TaskSpec(name=name), num_fewshot=3)["truthfulqa_mc1"]
    assert found == Shots(0, "locked", "its prompt is written with them")


def test_the_innermost_group_decides(folder: Path) -> None:
    catalog = Catalog.of([folder])

    def numbers(name: str) -> dict[str, int]:
        return {task: one.number for task, one in shots.fixed(catalog.groups, catalog.shots, name).items()}

    assert numbers("outer") == {"boolq": 2, "piqa": 1, "openbookqa": 1}
    with pytest.raises(UserError, match="boolq has 2 examples in inner and 3 in clash"):
        numbers("clash")
    assert numbers("boolq") == {}


@pytest.mark.parametrize(
    ("written", "wanted", "found"),
    [
        (None, None, Shots(0, "definition", "lm-eval's definition")),
        (5, None, Shots(5, "definition", "lm-eval's definition")),
        (5, Shots(2, "flag"), Shots(2, "flag")),
        (5, Shots(0, "flag"), Shots(0, "flag")),
        (0, Shots(2, "flag"), Shots(0, "locked", "lm-eval's definition, which keeps its 0")),
    ],
)
def test_lm_evals_rule(written: int | None, wanted: Shots | None, found: Shots) -> None:
    assert shots.of_lm_eval(written, wanted) == found


def test_both_words_ask_for_bundled_items() -> None:
    for name in ("boolq@bundled", "boolq@sample", "boolq@bundled@2shot"):
        entry = shots.parse_suffixes(TaskSpec(name=name))
        assert (entry.name, entry.sample) == ("boolq", True)


def test_show_tells_number_and_reason(folder: Path) -> None:
    def show(*line: str) -> str:
        done = CliRunner().invoke(app, ["tasks", "show", *line, "--include-path", str(folder)])
        assert done.exit_code == 0, done.output
        return done.output

    assert "few-shot examples: 0 (the task's definition)" in show("boolq")
    assert "few-shot examples: 3 (--num-fewshot)" in show("boolq", "--num-fewshot", "3")
    assert "few-shot examples: 2 (@2shot after the name)" in show("boolq@2shot")
    told = show("outer")
    assert "few-shot examples: 2 (fixed by the group inner): boolq" in told
    assert "few-shot examples: 1 (fixed by the group outer): piqa, openbookqa" in told
    assert json.loads(show("boolq@2shot", "--json"))["shots"]["boolq"]["source"] == "suffix"


def test_a_run_records_what_decided(tmp_path: Path) -> None:
    line = ["run", "--model", "mock", "--tasks", "boolq@1shot,piqa", "--bundled", "--limit", "2", "--quiet"]
    done = CliRunner().invoke(app, [*line, "--output", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    records = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))["evalkit"]["tasks"]
    kept = {one["info"]["name"]: one["info"]["shots"] for one in records}
    assert kept["boolq"] == {"number": 1, "source": "suffix", "why": "@1shot after the name"}
    assert kept["piqa"]["source"] == "definition"
