"""Reading task.yaml: what is accepted, and messages that name file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.contract.errors import UserError
from evalkit.task.definition import load_group, load_task

GOOD = """\
name: toy
version: 1.0
dataset:
  id: me/toy
  splits: {eval: test, fewshot: train}
kind: multiple_choice
prompt: "{{ q }}"
choices: [a, b]
target: label
metrics:
  - metric: acc
"""


def write(folder: Path, text: str, name: str = "task.yaml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(text)
    return file


def test_defaults(tmp_path: Path) -> None:
    (one,) = load_task(write(tmp_path, GOOD)).tasks
    assert (one.name, one.version, one.kind) == ("toy", "1.0", "multiple_choice")
    assert (one.target_delimiter, one.fewshot_delimiter, one.fewshot.num) == (" ", "\n\n", 0)
    assert one.primary_key == "acc,none"


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("kind: multiple_choice", "kind: quiz", 6, "kind: Input should be 'multiple_choice'"),
        ("prompt:", "promt:", 7, "promt: unknown key; did you mean prompt?"),
        ("  id: me/toy\n", "  idd: me/toy\n", 4, "dataset.idd: unknown key; did you mean id?"),
        ("  id: me/toy\n", "", 3, "dataset.id: this key is missing"),
        ("choices: [a, b]\n", "", 6, "kind: multiple_choice needs the key choices"),
        ("  - metric: acc", "  - metric: acc\n  - metric: acc", 12, "metrics[1]: acc,none is there twice"),
        ("  - metric: acc", "  - metric: acc\n    filter: x", 12, "metrics[0].filter: there is no filter 'x'"),
        ("name: toy", "name: to/y", 1, "name: String should match pattern"),
        ("name: toy", "name: toy\nprimary: f1", 2, "primary: 'f1' is none of this task's metrics: acc,none"),
        ("  - metric: acc", "  []", 10, "metrics: Tuple should have at least 1 item"),
        (
            "target: label",
            "target: label\ntarget: other",
            10,
            "not valid YAML (target: is written twice (first on line 9)",
        ),
        ("target: label", "target: [unclosed", 10, "not valid YAML"),
    ],
)
def test_mistakes_name_file_line_and_key(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    assert old in GOOD
    file = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(UserError) as caught:
        load_task(file)
    assert str(caught.value).startswith(f"{file}:{line}: {says}")


def test_extends_merges_and_keeps_lines(tmp_path: Path) -> None:
    base = write(tmp_path / "base", GOOD + "sample: s.jsonl\nprocess: task.py:f\n")
    file = write(tmp_path / "more", "extends: ../base/task.yaml\nname: more\ndataset: {config: c}\ntarget: gold\n")
    defined = load_task(file)
    (one,) = defined.tasks
    assert (one.name, one.dataset.id, one.dataset.config, one.target) == ("more", "me/toy", "c", "gold")
    assert one.sample is not None
    assert one.sample.file == tmp_path / "base" / "s.jsonl"
    assert one.process == f"{tmp_path / 'base' / 'task.py'}:f"
    assert defined.source.locate("target").startswith(f"{file}:4:")
    assert defined.source.locate("metrics", 0, "metric") == f"{base}:11: metrics[0].metric"


def test_circular_extends(tmp_path: Path) -> None:
    write(tmp_path / "a", "extends: ../b/task.yaml\nname: a\n")
    write(tmp_path / "b", "extends: ../a/task.yaml\nname: b\n")
    with pytest.raises(UserError, match="break the circle"):
        load_task(tmp_path / "a" / "task.yaml")
    file = write(tmp_path / "c", "extends: ../nowhere.yaml\n")
    with pytest.raises(UserError, match=r"task\.yaml:1: extends: there is no file"):
        load_task(file)


def test_configs_make_tasks_and_groups(tmp_path: Path) -> None:
    extra = 'configs:\n  one: [x, y]\n  two_part: [z]\nsample: {file: s.jsonl, where: {subject: "{{config}}"}}\n'
    defined = load_task(write(tmp_path, GOOD + extra))
    assert [task.name for task in defined.tasks] == ["toy_x", "toy_y", "toy_z"]
    assert [task.dataset.config for task in defined.tasks] == ["x", "y", "z"]
    assert defined.tasks[2].sample is not None
    assert defined.tasks[2].sample.where == {"subject": "z"}
    names = [(group.name, group.children, group.alias) for group in defined.groups]
    assert names == [
        ("toy_one", ("toy_x", "toy_y"), "one"),
        ("toy_two_part", ("toy_z",), "two part"),
        ("toy", ("toy_one", "toy_two_part"), None),
    ]
    assert defined.groups[-1].aggregate == ("acc,none",)


def test_group_file(tmp_path: Path) -> None:
    file = write(tmp_path, "name: both\nchildren: [a, b]\naggregate: ['acc,none']\n", "group.yaml")
    (group,) = load_group(file).groups
    assert group.children == ("a", "b")
    file = write(tmp_path, "name: none\nchildren: []\n", "group.yaml")
    with pytest.raises(UserError, match=r"group\.yaml:2: children"):
        load_group(file)


def test_a_list_is_no_definition(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"task\.yaml:1: a definition is a mapping"):
        load_task(write(tmp_path, "- 1\n"))
    with pytest.raises(UserError, match=r"task\.yaml:1: a definition is a mapping"):
        load_task(write(tmp_path, ""))
