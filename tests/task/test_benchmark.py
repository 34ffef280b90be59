"""A benchmark in one Python file: found, run, scored, shown examples, resumed; and what is said of a broken one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import evalkit
from evalkit.cli.app import app
from evalkit.contract import registry
from evalkit.contract.errors import UserError
from evalkit.contract.types import Message, PromptStyle, Response
from evalkit.data import open_source
from evalkit.spec.models import RunSpec
from evalkit.task.catalog import resolve
from evalkit.task.listing import describe, left_out, listing

PLAIN = """\
from evalkit import Benchmark, Metric

ROWS = {"train": 3, "test": 4}


class Doubling(Benchmark):
    name = "doubling"
    description = "Twice a number."
    fewshot_split = "train"
    metrics = (Metric(name="correct", kind="text", higher_is_better=True, binary=True), "exact_match")

    def rows(self, split, data):
        return [{"n": n + 10 * (split == "train")} for n in range(ROWS[split])]

    def prompt(self, row):
        return f"Twice {row['n']} is"

    def target(self, row):
        return str(2 * row["n"])

    def score(self, row, reply):
        return {"correct": float(reply.strip() == self.target(row))}
"""
CHOICE = """\
import evalkit


class Bigger(evalkit.Benchmark):
    name = "bigger"
    description = "The bigger number."
    items = "items.jsonl"

    def rows(self, split, data):
        return [row for row in super().rows(split, data) if row["a"] != row["b"]]

    def prompt(self, row):
        return "Which is bigger?"

    def choices(self, row):
        return [str(row["a"]), str(row["b"])]

    def target(self, row):
        return str(max(row["a"], row["b"]))
"""


def write(folder: Path, text: str = PLAIN, name: str = "doubling") -> Path:
    place = folder / "mine" / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "benchmark.py").write_text(text, "utf-8")
    return folder / "mine"


def selected(folder: Path, name: str, **more):
    asked = {"model": {"name": "mock", "backend": "mock"}, "tasks": [{"name": name}], "include_path": [folder]}
    return resolve(RunSpec.model_validate({**asked, **more}))


def asked_of(task, style: PromptStyle = PromptStyle()):
    documents = task.documents(open_source(None))
    return documents, list(task.requests(documents, style))


def test_right_and_wrong_replies_are_scored_and_the_rest_is_as_in_any_task(tmp_path: Path) -> None:
    def doubled(request) -> str:
        n = int(re.findall(r"\d+", request.context)[-1])
        return f" {2 * n}" if n != 3 else " 7"

    run = evalkit.evaluate(evalkit.mock(doubled), ["doubling"], include_path=[write(tmp_path)], output=tmp_path / "run")
    correct = run["doubling"]["correct"]
    assert correct.value == 0.75
    assert correct.n == 4
    assert correct.interval[0] < 0.75 < correct.interval[1]
    assert correct.unit == "share"
    assert correct.primary
    assert run["doubling"]["exact_match"].value == 0.75
    bare = PLAIN.replace("    metrics = ", '    primary = "exact_match"\n    metrics = ').replace("correct", "right")
    (task,) = selected(write(tmp_path, bare), "doubling").tasks
    assert task.info.primary == "exact_match,remove_whitespace"


def test_examples_come_from_the_train_split_by_the_seeded_sampler(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (task,) = selected(folder, "doubling@2shot").tasks
    _, requests = asked_of(task)
    shown = [re.findall(r"Twice (\d+) is (\d+)\n\n", asked[0].context) for asked in requests]
    assert all(len(pairs) == 2 and all(2 * int(n) == int(twice) >= 20 for n, twice in pairs) for pairs in shown)
    assert requests == asked_of(task)[1]
    (other,) = selected(folder, "doubling@2shot", seed=7).tasks
    assert asked_of(other)[1] != requests
    with pytest.raises(UserError, match="5 few-shot examples asked for, but there are only 3"):
        asked_of(selected(folder, "doubling@5shot").tasks[0])


def test_a_chat_template_gets_the_turns(tmp_path: Path) -> None:
    def chat(messages, add_generation_prompt):
        return "|".join(f"{one.role}:{one.content}" for one in messages)

    (task,) = selected(write(tmp_path), "doubling@1shot").tasks
    _, requests = asked_of(task, PromptStyle(chat=chat))
    messages = requests[3][0].messages
    assert [one.role for one in messages] == ["user", "assistant", "user"]
    assert messages[-1] == Message("user", "Twice 3 is")
    assert requests[3][0].context.endswith("|user:Twice 3 is")


def test_choices_make_it_multiple_choice_over_the_items_beside(tmp_path: Path) -> None:
    folder = write(tmp_path, CHOICE, "bigger")
    rows = [{"a": 1, "b": 2}, {"a": 5, "b": 5}, {"a": 9, "b": 3}]
    lines = "".join(json.dumps({**row, "_split": "test"}) + "\n" for row in rows)
    (folder / "bigger" / "items.jsonl").write_text(lines, "utf-8")
    for bundled in (False, True):
        (task,) = selected(folder, "bigger", sample=bundled).tasks
        documents, requests = asked_of(task)
        assert [[one.continuation for one in asked] for asked in requests] == [[" 1", " 2"], [" 9", " 3"]]
        likely = (Response(loglikelihood=-1.0, is_greedy=True), Response(loglikelihood=-2.0, is_greedy=False))
        samples = [task.score(one, asked, likely) for one, asked in zip(documents, requests, strict=True)]
        assert [sample.metrics["acc,none"] for sample in samples] == [0.0, 1.0]
        (acc,) = task.summarize(samples)
        assert (acc.value, acc.baseline) == (0.5, 0.5)


def test_items_beside_a_data_set_are_its_bundled_ones(tmp_path: Path) -> None:
    text = CHOICE.replace('items = "', 'dataset = "me/bigger"\n    items = "')
    folder = write(tmp_path, text, "bigger")
    (folder / "bigger" / "items.jsonl").write_text('{"a": 1, "b": 2, "_split": "test"}\n', "utf-8")
    (task,) = selected(folder, "bigger", sample=True).tasks
    assert task.info.sample
    assert len(asked_of(task)[0]) == 1
    mirror = tmp_path / "mirror" / "me" / "bigger" / "default"
    mirror.mkdir(parents=True)
    (mirror / "test.jsonl").write_text('{"a": 4, "b": 2}\n{"a": 7, "b": 8}\n', "utf-8")
    (full,) = selected(folder, "bigger").tasks
    documents = full.documents(open_source(tmp_path / "mirror"))
    assert [dict(one.data) for one in documents] == [{"a": 4, "b": 2}, {"a": 7, "b": 8}]


def test_listing_runs_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path, "raise SystemExit('this file ran')\n" + PLAIN)
    (row,) = [row for row in listing([folder]) if row.name == "doubling"]
    assert (row.kind, row.version, row.metrics) == (
        "generate",
        "1.0",
        ("correct,none", "exact_match,remove_whitespace"),
    )


BROKEN = (
    (PLAIN.replace("class Doubling(", "class Doubling(("), r"benchmark\.py:6: no Python: "),
    (PLAIN.replace("(Benchmark)", "(object)"), r"benchmark\.py:1: 0 classes derive from evalkit\.Benchmark"),
    (PLAIN.replace("def prompt", "def question"), r"benchmark\.py:6: Doubling has no method prompt"),
    (PLAIN.replace("def rows", "def rowz"), r"benchmark\.py:6: Doubling has no rows"),
    (PLAIN.replace('name = "doubling"', 'name = "dou" + str(1)'), r"benchmark\.py:7: name must be written out"),
    (PLAIN.replace('name = "doubling"', 'name = "a b"'), r"benchmark\.py:7: name"),
    (
        PLAIN.replace("fewshot_split", "fewshot_spilt"),
        r"benchmark\.py:9: unknown attribute 'fewshot_spilt'.*fewshot_split",
    ),
    (PLAIN.replace('Metric(name="correct", ', "Metric("), r"benchmark\.py:10: metrics is a list of names"),
    (PLAIN + "\n    def choices(self, row):\n        return []\n", r"benchmark\.py:21: score judges a reply"),
    (CHOICE, r"benchmark\.py:7: there is no file items\.jsonl beside"),
    (CHOICE.replace("items.jsonl", "../../x"), r"benchmark\.py:7: '../../x' leads out of the benchmark's folder"),
)


@pytest.mark.parametrize(("text", "told"), BROKEN)
def test_a_broken_file_is_told_with_its_line_and_is_in_nobodys_way(tmp_path: Path, text: str, told: str) -> None:
    folder = write(tmp_path, text)
    with pytest.raises(UserError, match=told):
        selected(folder, "doubling")
    with pytest.raises(UserError, match=told):
        selected(folder, "doub*")
    assert selected(folder, "calendar_arithmetic").tasks
    assert any(re.search(told, line) for line in left_out([folder]))
    write(tmp_path, PLAIN.replace('"doubling"', '"doubled"'), "doubled")
    assert any(re.search(told, line) for line in selected(folder, "doubl*").warnings)
    shown = CliRunner().invoke(app, ["tasks", "list", "calendar*", "--include-path", str(folder)])
    assert shown.exit_code == 0
    assert re.search(told.split(r"\.py")[1], shown.stderr)


FAILING = (
    (PLAIN.replace("ROWS = ", "import no_such_package\nROWS = "), r"benchmark\.py:3: cannot be loaded: ModuleNotFound"),
    (PLAIN.replace("row['n']", "row['m']"), r"row 1: .*benchmark\.py:16: prompt fails: KeyError: 'm'"),
    (PLAIN.replace("str(2 * row", "(2 < row"), r"row 1: .*benchmark\.py:18: target: must give a text"),
    (PLAIN.replace("n + 10 *", "n / 0 *"), r"benchmark\.py:13: rows of the split test: ZeroDiv"),
    (PLAIN.replace("range(ROWS[split])", "()"), r"benchmark\.py: rows gives nothing for the split test"),
    (PLAIN.replace("def score", "def judge"), r"benchmark\.py:10: metrics: correct: write score"),
)


@pytest.mark.parametrize(("text", "told"), FAILING)
def test_code_that_fails_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        asked_of(selected(write(tmp_path, text), "doubling").tasks[0])


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("{}", r"benchmark\.py:21: score: must give \['correct'\]"),
        ("{'correct': 1, 'other': 1}", r"not \['correct', 'other'\]"),
        ("{'correct': row['x']}", r"benchmark\.py:22: score fails: KeyError: 'x'"),
    ],
)
def test_a_score_that_fails_marks_its_document(tmp_path: Path, body: str, told: str) -> None:
    text = PLAIN.replace('{"correct": float(reply.strip() == self.target(row))}', body)
    model = evalkit.mock(lambda request: " 0")
    run = evalkit.evaluate(model, ["doubling"], include_path=[write(tmp_path, text)], output=tmp_path / "run")
    ended = run.result.tasks[0]
    assert (ended.n_ok, ended.n_error) == (0, 4)
    task = selected(write(tmp_path, text), "doubling").tasks[0]
    documents, requests = asked_of(task)
    with pytest.raises(UserError, match=f"^doubling/{told}" if told.startswith("bench") else told):
        task.score(documents[0], requests[0], [Response(text="0")])


def command(*line: str):
    result = CliRunner().invoke(app, list(line))
    assert result.exit_code == 0, result.output
    return result


def test_the_shipped_one_runs_with_the_limit_and_is_resumed_from_its_journal(tmp_path: Path) -> None:
    run = tmp_path / "run"
    line = ["run", "--model", "mock", "--tasks", "calendar_arithmetic@2shot", "--bundled", "--output", str(run)]
    command(*line, "--limit", "25")
    results = json.loads((run / "results.json").read_text("utf-8"))
    assert results["n-samples"]["calendar_arithmetic"] == {"original": 80, "effective": 25}
    written = results["configs"]["calendar_arithmetic"]["benchmark"]
    assert written["file"] == "benchmark.py"
    assert len(written["sha256"]) == 64
    (run / "results.json").unlink()
    assert "25 already answered" in command("run", "--resume", str(run)).stderr
    again = json.loads((run / "results.json").read_text("utf-8"))
    assert again["results"] == results["results"]


def test_the_shipped_one_reads_dates(tmp_path: Path) -> None:
    (task,) = selected(tmp_path, "calendar_arithmetic").tasks
    documents, requests = asked_of(task)
    assert len(documents) == 80
    assert len({one.hash for one in documents}) == 80
    first = documents[0]
    right = first.data["date"]

    def scored(reply: str):
        return task.score(first, requests[0], [Response(text=reply)]).metrics

    assert scored(f" It is {right}.") == {"correct,none": 1.0, "read,none": 1.0, "days_off,none": 0.0}
    assert scored(first.data["start"])["days_off,none"] == abs(first.data["days"])
    assert scored("2021-02-30") == {"correct,none": 0.0, "read,none": 0.0, "days_off,none": None}
    assert describe("calendar_arithmetic").target == right


class Adding(evalkit.Benchmark):
    name = "adding"
    description = "A sum."
    fewshot_split = "train"
    metrics = (evalkit.Metric(name="correct", kind="text", higher_is_better=True, binary=True), "exact_match")

    def __init__(self, step: int = 1) -> None:
        self.step = step

    def rows(self, split, data):
        return [{"n": n + 10 * (split == "train")} for n in range(4)]

    def prompt(self, row):
        return f"{row['n']} and {self.step} is"

    def target(self, row):
        return str(row["n"] + self.step)

    def score(self, row, reply):
        return {"correct": float(reply.strip() == self.target(row))}


class MoreAdding(Adding):
    name = "more_" + "adding"

    def __init__(self) -> None:
        super().__init__(step=5)


def sums(request) -> str:
    one, other = re.findall(r"(\d+) and (\d+) is", request.context)[-1]
    return f" {int(one) + int(other)}"


def test_classes_and_objects_are_evaluated_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    asked = [Adding(2), MoreAdding]
    model = evalkit.mock(sums, name="sums")
    run = evalkit.evaluate(model, asked, num_fewshot=2, limit=3, output=folder)
    infos = {one.info.name: one.info for one in run.result.tasks}
    for name in ("adding", "more_adding"):
        assert (run[name]["correct"].value, run[name]["exact_match"].value) == (1.0, 1.0)
        info = infos[name]
        assert (info.shots.number, info.shots.source, info.num_fewshot) == (2, "flag", 2)
        written = info.config["benchmark"]
        assert written["class"].endswith(".MoreAdding" if name == "more_adding" else ".Adding")
        assert len(written["sha256"]) == 64
    assert infos["adding"].config["benchmark"] != infos["more_adding"].config["benchmark"]
    assert "0 and 2 is" in run.samples("adding")["prompt"][0]
    again = evalkit.evaluate(model, asked, num_fewshot=2, limit=3, output=folder, resume=True)
    assert again["adding"]["correct"] == run["adding"]["correct"]
    refused = CliRunner().invoke(app, ["run", "--resume", str(folder)])
    assert refused.exit_code == 2


def test_a_class_is_registered_by_its_own_name(tmp_path: Path) -> None:
    evalkit.register_task("adding", Adding, replace=True)
    try:
        run = evalkit.evaluate(evalkit.mock(sums, name="sums"), "adding@1shot", metrics=["distinct_1"])
        assert run["adding"]["correct"].value == 1.0
        assert run["adding"]["distinct_1"].n == 4
        assert run.result.tasks[0].info.shots.source == "suffix"
        assert "adding" in set(evalkit.tasks("add*")["name"])
    finally:
        registry.unregister(registry.TASK_OBJECTS, "adding")


WRONG = (
    ({"prompt": evalkit.Benchmark.prompt}, "Wrong has no method prompt"),
    ({"rows": evalkit.Benchmark.rows}, "Wrong has no rows"),
    ({"fewshot_spilt": "train"}, "unknown attribute 'fewshot_spilt'.*fewshot_split"),
    ({"metrics": ("no_such_metric",), "score": evalkit.Benchmark.score}, "no_such_metric"),
    ({"metrics": (3,)}, "metrics holds 3"),
    ({"items": "nothing.jsonl"}, "there is no file nothing.jsonl beside"),
    ({"__init__": lambda self, must: None}, r"Wrong\(\) fails: TypeError"),
)


@pytest.mark.parametrize(("changes", "told"), WRONG)
def test_a_wrong_class_is_told_before_anything_runs(changes: dict, told: str, tmp_path: Path) -> None:
    wrong = type("Wrong", (Adding,), {"name": "wrong", **changes})
    with pytest.raises(UserError, match=told):
        evalkit.evaluate("mock", [wrong], output=tmp_path / "run")
    assert not (tmp_path / "run" / "results.json").exists()


def test_a_class_without_source_runs_too(tmp_path: Path) -> None:
    space: dict = {}
    exec(PLAIN.replace("doubling", "typed_in"), space)
    run = evalkit.evaluate(evalkit.mock(lambda request: " 0"), [space["Doubling"]], output=tmp_path / "run")
    assert run["typed_in"]["correct"].value == 0.25
    assert run.result.tasks[0].info.config["benchmark"]["sha256"] is None
