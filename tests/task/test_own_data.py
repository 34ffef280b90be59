"""One's own rows: in one line, as an entry of a file or a call, as a folder that `tasks new` writes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import evalkit
from evalkit.contract.errors import UserError
from evalkit.contract.types import Generate
from tests.cli.conftest import Evalkit
from tests.cli.conftest import evalkit as command_line  # noqa: F401

pytestmark = pytest.mark.slow

ROWS = [
    {"question": "2+2?", "answer": "4", "options": ["3", "4"]},
    {"question": "3+3?", "answer": "6", "options": ["6", "7"]},
    {"question": "1+1?", "answer": "2", "options": ["2", "3"]},
]
PROMPT, TARGET = "Q: {{question}}\nA:", "{{answer}}"


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "my sums.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def replies(request: Generate) -> str:
    """A model that knows sums."""
    first, second = request.context.rpartition("Q: ")[2].partition("?")[0].split("+")
    return f" {int(first) + int(second)}\nQ: and so on"


def entry(rows: Path, **more: object) -> dict[str, object]:
    return {"name": "sums", "data": str(rows), "prompt": PROMPT, "target": TARGET, **more}


def test_an_entry_of_a_call_is_a_task(rows: Path, tmp_path: Path) -> None:
    run = evalkit.evaluate(evalkit.mock(replies), [entry(rows)], output=tmp_path / "run")
    assert run["sums"]["exact_match"].value == 1.0
    prompts = run.samples("sums")["prompt"].tolist()
    assert prompts == [f"Q: {row['question']}\nA:" for row in ROWS]
    shots = evalkit.evaluate(evalkit.mock(replies), [entry(rows, num_fewshot=1)], output=tmp_path / "shots")
    for prompt, row in zip(shots.samples("sums")["prompt"], ROWS, strict=True):
        assert prompt.count("Q:") == 2
        assert prompt.count(str(row["question"])) == 1  # the question itself is no example


@pytest.mark.parametrize(
    ("choices", "target"), [("{{options}}", TARGET), (["3", "4", "6", "2"], TARGET), ("2,3,4,6", TARGET)]
)
def test_choices_make_it_multiple_choice(rows: Path, tmp_path: Path, choices: object, target: str) -> None:
    run = evalkit.evaluate("mock", [entry(rows, choices=choices, target=target)], output=tmp_path / "run")
    assert run["sums"]["acc"].n == 3
    samples = run.samples("sums")
    assert [row["choices"][int(row["target"])].strip() for _, row in samples.iterrows()] == ["4", "6", "2"]


def test_one_line_on_the_command_line_and_its_resume(command_line: Evalkit, rows: Path) -> None:  # noqa: F811
    line = ("run", "--model", "mock", "--data", rows, "--prompt", "Q: {{question}}\\nA:", "--target", TARGET)
    done = command_line(*line, "--output", "run")
    assert done.exit_code == 0, done.output
    assert "my_sums" in done.stdout
    spec = json.loads((rows.parent / "run" / "spec.json").read_text())
    assert spec["tasks"][0]["prompt"] == PROMPT
    before = (rows.parent / "run" / "results.json").read_text()
    assert command_line("run", "--resume", "run").exit_code == 0
    again = (rows.parent / "run" / "results.json").read_text()
    assert json.loads(again)["results"] == json.loads(before)["results"]
    assert str(rows.parent) not in json.dumps(json.loads(again)["configs"])  # the same task on every machine


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["--data", "none.jsonl", "--prompt", "x", "--target", "y"], "there is no file none.jsonl"),
        (["--data", "{rows}", "--prompt", "x"], "give --target"),
        (["--data", "{rows}", "--target", "x"], "give --prompt"),
        (["--prompt", "x", "--tasks", "boolq"], "--prompt: is for a file of your own: give --data"),
        (["--data", "{rows}", "--prompt", "{{qestion}}", "--target", "x"], "'qestion' is missing"),
        (["--data", "{rows}", "--prompt", "{{question}}", "--target", "x", "--choices", "one"], "at least two choices"),
        (["--data", "{rows}", "--prompt", "{{question", "--target", "x"], "prompt"),
    ],
)
def test_mistakes_are_one_line(command_line: Evalkit, rows: Path, line: list[str], told: str) -> None:  # noqa: F811
    done = command_line("run", "--model", "mock", *(word.replace("{rows}", str(rows)) for word in line))
    assert done.exit_code == 2
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_definition_may_name_a_file_beside_it(command_line: Evalkit, rows: Path) -> None:  # noqa: F811
    made = command_line("tasks", "new", "sums", "--data", rows, "--prompt", PROMPT, "--target", TARGET)
    assert made.exit_code == 0, made.output
    assert "3 rows, 0 of them cannot be scored" in made.stdout
    definition = yaml.safe_load((rows.parent / "sums" / "task.yaml").read_text())
    assert definition["dataset"] == {"path": rows.name}
    run = command_line("run", "--model", "mock", "--tasks", "sums", "--include-path", "sums", "--output", "run")
    assert run.exit_code == 0, run.output
    again = command_line("tasks", "new", "sums", "--data", rows, "--prompt", PROMPT, "--target", TARGET)
    assert again.exit_code == 2
    assert "not empty" in again.stderr
    (rows.parent / "sums" / rows.name).write_text(json.dumps({**ROWS[0], "answer": ""}) + "\n")
    broken = command_line("tasks", "validate", "sums")
    assert broken.exit_code in (0, 1)
    text = (rows.parent / "sums" / "task.yaml").read_text()
    for path, told in (("../elsewhere.jsonl", "leads out"), ("none.jsonl", "none.jsonl")):
        (rows.parent / "sums" / "task.yaml").write_text(text.replace(rows.name, path))
        refused = command_line("tasks", "validate", "sums")
        assert refused.exit_code == 2
        assert told in refused.stderr


def test_rows_that_cannot_be_scored_are_counted(command_line: Evalkit, rows: Path) -> None:  # noqa: F811
    rows.write_text("".join(json.dumps({**row, "answer": "none of these"}) + "\n" for row in ROWS[:2]))
    line = ("tasks", "new", "sums", "--data", rows, "--prompt", PROMPT, "--target", TARGET, "--choices", "{{options}}")
    assert "2 rows, 2 of them cannot be scored" in command_line(*line).stdout
    assert command_line("tasks", "validate", "sums").exit_code == 1


def test_an_entry_without_data_takes_no_prompt() -> None:
    with pytest.raises(UserError, match="prompt is for a file of one's own"):
        evalkit.evaluate("mock", [{"name": "boolq", "prompt": "x"}], bundled=True)


def test_the_examples_of_the_page_run(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "run.md").read_text("utf-8")
    (script,) = re.findall(r"```sh\n(printf.*?)```", page, re.DOTALL)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-euc", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "2 rows, 0 of them cannot be scored" in done.stdout
    assert "f1" in (tmp_path / next((tmp_path / "runs").iterdir()) / "results.json").read_text()
