"""Answers once made are scored again: the same numbers where nothing changed, others where a metric did."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

import evalkit
from evalkit import UserError

KINDS = [
    "boolq@bundled", "truthfulqa_mc2@bundled", "winogrande@bundled", "triviaqa@bundled@2shot", "gsm8k@bundled",
    "gsm8k_cot_self_consistency@bundled", "lambada_openai@bundled", "order:boolq@bundled", "memotrap",
]  # fmt: skip


def contents(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def numbers(run: evalkit.Run) -> Any:
    found = json.loads((run.path / "results.json").read_text())
    return found["results"], found.get("groups"), found["task_hashes"], found["n-samples"]


def same(run: evalkit.Run, again: evalkit.Run) -> None:
    assert numbers(again) == numbers(run)
    for task in run.tasks:
        ours, theirs = again.samples(task), run.samples(task)
        assert ours.to_json() == theirs.to_json()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> evalkit.Run:
    folder = tmp_path_factory.mktemp("answered")
    text = folder / "text.txt"
    text.write_text("A line of words. " * 40)
    tasks = [*KINDS, f"perplexity:{text}"]
    return evalkit.evaluate("mock", tasks, limit=4, output=folder / "run", progress=False)


def test_the_same_definitions_give_the_same_numbers(run: evalkit.Run, tmp_path: Path) -> None:
    before = contents(run.path)
    again = evalkit.rescore(run, output=tmp_path / "again")
    same(run, again)
    assert contents(run.path) == before
    assert any("scored again" in line for line in again.warnings)
    assert again.result.environment["rescored"]["run"] == str(run.path)
    # The copied journal answers a resumed run: nothing is asked.
    resumed = evalkit.evaluate("mock", [*KINDS, run.tasks[-1]], limit=4, output=again.path, resume=True, progress=False)
    same(run, resumed)


def test_predictions_alone_are_scored_later(run: evalkit.Run, tmp_path: Path) -> None:
    tasks = [*KINDS, run.tasks[-1]]
    asked = evalkit.evaluate("mock", tasks, limit=4, output=tmp_path / "asked", predict_only=True, progress=False)
    assert not any(task.metrics for task in asked.result.tasks)
    assert {task.n_unscored for task in asked.result.tasks} <= {1, 4}
    assert asked.samples("boolq")["target"].tolist() == run.samples("boolq")["target"].tolist()
    same(run, evalkit.rescore(asked, output=tmp_path / "scored"))


def test_choices_by_generation_are_scored_again(tmp_path: Path) -> None:
    args = {"mc": "generate"}
    run = evalkit.evaluate(
        "mock", ["boolq@bundled"], model_args=args, chat_template=True, limit=5, output=tmp_path / "a", progress=False
    )
    again = evalkit.rescore(run, output=tmp_path / "b")
    assert "acc_generative" in {metric.name for metric in again.result.tasks[0].metrics}
    same(run, again)


@pytest.mark.model
def test_a_real_models_conversation_is_scored_again(tmp_path: Path) -> None:
    run = evalkit.evaluate(
        "smollm2-135m", "boolq@bundled", chat_template=True, limit=2, output=tmp_path / "a",
        progress=False,
    )  # fmt: skip
    same(run, evalkit.rescore(run, output=tmp_path / "b"))


def test_another_task_scores_the_answers(tmp_path: Path) -> None:
    rows = [{"question": f"Say {n}?", "answer": f"answer {n}"} for n in range(3)]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    judged = tmp_path / "tasks" / "judged"
    judged.mkdir(parents=True)
    (judged / "rows.jsonl").write_text(data.read_text())
    (judged / "task.yaml").write_text(
        "name: judged\nversion: '1.0'\ndescription: The same rows, read otherwise.\ndataset: {path: rows.jsonl}\n"
        "kind: generate\nprompt: 'Q: {{ question }}'\ntarget: '{{ answer[-1:] }}'\ngeneration: {max_tokens: 8}\n"
        "filters:\n  number: [{function: regex, regex_pattern: '(\\d+)'}]\n"
        "metrics: [{metric: exact_match, filter: number}]\n"
    )

    def answer(request: evalkit.Request) -> str:
        return f"I say {''.join(char for char in getattr(request, 'context', '') if char.isdigit())}."

    model = evalkit.mock(answer)
    asked = {"name": "rows", "data": str(data), "prompt": "{{question}}", "target": "{{answer}}"}
    run = evalkit.evaluate(model, [asked], output=tmp_path / "run", progress=False)
    assert run["rows"].primary.value == 0
    again = evalkit.rescore(run, output=tmp_path / "again", include_path=tmp_path / "tasks", instead={"rows": "judged"})
    assert again["judged"]["exact_match"].value == 1
    assert not (again.path / "journal.sqlite").exists()  # its answers belong to other questions


def test_what_does_not_fit_is_refused(run: evalkit.Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="stays as it is"):
        evalkit.rescore(run, output=run.path)
    with pytest.raises(UserError, match="was not asked for it by this name"):
        evalkit.rescore(run, output=tmp_path / "x", instead={"mmlu": "boolq"})
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"q": "a", "a": "b"}\n')
    asked = {"name": "rows", "data": str(rows), "prompt": "{{q}}", "target": "{{a}}"}
    own = evalkit.evaluate("mock", [asked], output=tmp_path / "own", progress=False)
    rows.write_text('{"q": "c", "a": "b"}\n')
    with pytest.raises(UserError, match="not in the data any more"):
        evalkit.rescore(own, output=tmp_path / "y")
    assert not (tmp_path / "y").exists()
