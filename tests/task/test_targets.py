"""What may be a target: texts are matched as texts first, objects are refused, YAML's words stay words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.contract.errors import UserError
from evalkit.contract.types import Document, Response
from evalkit.task.definition import load_task
from evalkit.task.native import NativeTask
from evalkit.task.rendering import row_hash, settle

HEAD = """
name: own
version: 1
dataset: {id: own/own, splits: {eval: test}}
prompt: "{{ q }}"
"""
CHOICE = HEAD + "kind: multiple_choice\nmetrics: [{metric: acc}]\n"
TEXT = HEAD + "kind: generate\nmetrics: [{metric: exact_match}]\n"


def made(tmp_path: Path, text: str) -> NativeTask:
    file = tmp_path / "task.yaml"
    file.write_text(text, encoding="utf-8")
    defined = load_task(file)
    return NativeTask(defined.tasks[0], defined.source)


def item(task: NativeTask, row: dict[str, Any]) -> Any:
    return task.item(Document(4, row, row_hash(row)))


@pytest.mark.parametrize(
    ("raw", "choices", "index"),
    [
        ("1", ("2", "0", "1", "3"), 2),
        (1, ("2", "0", "1", "3"), 0 + 1),
        ("0", ("7", "8"), 0),
        ("7", ("7", "8"), 0),
        ("-1", ("1", "-1"), 1),
        ("3.5", ("3", "3.5"), 1),
        ("A", ("B", "A"), 1),
    ],
)
def test_a_text_is_a_choice_before_it_is_an_index(raw: Any, choices: tuple[str, ...], index: int) -> None:
    assert settle(raw, choices, "multiple_choice") == (index, None)
    assert settle([raw], choices, "multiple_choice") == ([index], None)


@pytest.mark.parametrize("word", ["yes", "no", "on", "off", "y", "n", "Yes", "NO"])
def test_words_that_yaml_once_took_for_booleans_are_choices(tmp_path: Path, word: str) -> None:
    task = made(tmp_path, CHOICE + f"choices: [maybe, {word}]\ntarget: '{{{{ word }}}}'\n")
    assert item(task, {"q": "?", "word": word}).target == 1
    task = made(tmp_path, TEXT + f'target: "{word}"\ngeneration: {{until: [{word}]}}\n')
    assert task.definition.generation.until == (word,)


def test_an_unquoted_yes_is_the_choice_of_that_name_or_a_field(tmp_path: Path) -> None:
    task = made(tmp_path, CHOICE + "choices: [yes, no]\ntarget: yes\n")
    assert item(task, {"q": "?"}).target == 0
    assert item(task, {"q": "?", "yes": "no"}).target == 1
    task = made(tmp_path, CHOICE + "choices: [yes, no]\ntarget: maybe\n")
    with pytest.raises(UserError, match="the field 'maybe' is missing"):
        item(task, {"q": "?"})


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("choices: ['a', 'b']\ntarget: true\n", 9),
        ("choices: [true, false]\ntarget: 0\n", 8),
        ("choices: [1, 2]\ntarget: 0\n", 8),
        ("choices: [a, b]\ntarget: [true]\n", 9),
        ("choices: [a, b]\ntarget: 0\ntarget_delimiter: 5\n", 10),
    ],
)
def test_what_is_no_text_in_yaml_is_refused_with_a_hint(tmp_path: Path, keys: str, line: int) -> None:
    with pytest.raises(UserError) as refused:
        made(tmp_path, CHOICE + keys)
    assert "quotes" in str(refused.value)
    assert f"task.yaml:{line}: " in str(refused.value)


@pytest.mark.parametrize(
    "answer",
    [
        [{"text": "Ann", "start": 1}],
        {"text": "Ann"},
        ["Ann", {"name": "Bob"}],
        [["Ann"]],
    ],
)
def test_an_object_is_no_target(tmp_path: Path, answer: Any) -> None:
    task = made(tmp_path, TEXT + "target: answers\n")
    with pytest.raises(UserError) as refused:
        item(task, {"q": "who?", "answers": answer})
    told = str(refused.value)
    assert "'answers'" in told
    assert "row 5" in told
    assert f"{tmp_path / 'task.yaml'}:" in told
    assert "attribute=" in told
    assert "\n" not in told
    right = made(tmp_path, TEXT + "target: \"{{ answers | map(attribute='text') | list }}\"\n")
    assert item(right, {"q": "who?", "answers": [{"text": "Ann"}]}).target == ["Ann"]


def test_a_bool_of_the_data_is_a_target_as_before(tmp_path: Path) -> None:
    task = made(tmp_path, TEXT + "target: flag\n")
    assert item(task, {"q": "?", "flag": True}).target == "True"


def test_not_a_number_in_a_column_that_no_prompt_uses_is_written(tmp_path: Path) -> None:
    """The whole way: the sample's file holds it, and its hash still proves it."""
    from evalkit.store import samples

    task = made(tmp_path, TEXT + "target: a\n")
    row = {"q": "?", "a": "x", "score": float("nan"), "inf": [float("inf")]}
    document = Document(0, row, row_hash(row))
    requests = next(iter(task.requests([document], _plain())))
    result = task.score(document, requests, [Response(text="x")])
    file = tmp_path / "own.parquet"
    samples.write_parquet(file, [result], task.info)
    (kept,) = samples.read_table(file).to_pylist()
    assert samples.sha256(kept["document"]) == kept["doc_hash"] == document.hash
    assert json.loads(kept["document"])["a"] == "x"
    samples.write_jsonl(tmp_path / "own.jsonl", [result])
    assert json.loads((tmp_path / "own.jsonl").read_text())["doc"]["score"] is None


def _plain() -> Any:
    from evalkit.contract.types import PromptStyle

    return PromptStyle()


@pytest.mark.parametrize("path", ["../rows.jsonl", "/etc/hostname", "a/../../rows.jsonl", "link.jsonl"])
@pytest.mark.parametrize("key", ["sample: {0}", "sample: {{file: {0}}}", "fewshot: {{file: {0}}}"])
def test_rows_lie_beside_their_definition(tmp_path: Path, key: str, path: str) -> None:
    """What a definition names goes into prompts and reports: it must not reach for the reader's own files."""
    (tmp_path / "rows.jsonl").write_text('{"_split": "test", "q": "secret"}\n')
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "link.jsonl").symlink_to(tmp_path / "rows.jsonl")
    with pytest.raises(UserError, match="leads out of the definition's folder") as refused:
        made(folder, TEXT + f"target: a\n{key.format(path)}\n")
    assert "task.yaml:9: " in str(refused.value)
    assert made(folder, TEXT + "target: a\nsample: rows.jsonl\n").definition.sample
