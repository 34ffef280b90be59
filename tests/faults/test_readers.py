"""Every file of JSON or YAML, and every argument, that somebody else may have written: one clear line and exit code 2.

A reader is known by how it is reached from the command line; what it is given is the same for all: nesting 100,000
deep, integers of 5,000 digits, YAML bombs, NUL, bytes that are no UTF-8, other kinds of values, and nothing at all.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app

DEEP = 100_000
RUN = ("run", "--model", "mock", "--sample", "--quiet", "--output", "out", "--tasks", "boolq")

JSON_CONTENTS = {
    "deep list": b"[" * DEEP + b"]" * DEEP,
    "deep object": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "digits": b'{"a": ' + b"9" * 5000 + b"}",
    "NUL": b'{"a": "\0"}',
    "no UTF-8": b'{"a": "\xff"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "cut": b'{"a":',
    "a number": b"7",
    "a text": b'"x"',
    "null": b"null",
    "a list": b"[1, 2]",
    "other keys": b'{"nonsense": 1}',
    "nothing": b"",
}
BOMB = b"a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 12)
)
YAML_CONTENTS = {
    **{name: content for name, content in JSON_CONTENTS.items() if name not in ("nothing", "null")},
    "block": b"- " * DEEP + b"x",
    "bomb": BOMB,
    "itself": b"a: &a [*a]",
    "object": b"a: !!python/object/apply:os.getcwd []",
    "list as key": b"? [a]\n: 1",
    "date": b"name: 2024-99-99\nmodel: [2024-01-01]",
    "control": b"a: \x07",
}


@dataclass(frozen=True)
class Reader:
    """Where a content goes, and the command line that reads it. ``kept``: contents that are no mistake there."""

    place: Callable[[Path, bytes], None]
    line: tuple[str, ...]
    contents: dict[str, bytes]
    kept: tuple[str, ...] = ()


def at(name: str) -> Callable[[Path, bytes], None]:
    def place(folder: Path, content: bytes) -> None:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    return place


OWN = b"""
name: own
version: 1
dataset: {id: own/own, splits: {eval: test}}
kind: generate
prompt: "{{ q }}"
target: "x"
metrics: [{metric: exact_match}]
sample: rows.jsonl
"""


def rows(name: str) -> Callable[[Path, bytes], None]:
    def place(folder: Path, content: bytes) -> None:
        at("tasks/own/task.yaml")(folder, OWN)
        at("tasks/own/rows.jsonl")(folder, b'{"_split": "test", "q": "?"}\n')
        at(name)(folder, content)

    return place


def argument(flag: str) -> Callable[[Path, bytes], None]:
    """Written into a configuration file, for a command line takes no NUL."""

    def place(folder: Path, content: bytes) -> None:
        text = content.decode("utf-8", "replace").replace("\0", "")
        at("c.yaml")(folder, f"model: mock\ntasks: boolq@sample\noutput: out\n{flag}: {json.dumps(text)}\n".encode())

    return place


CONFIG = ("run", "--config", "c.yaml")
READERS = {
    "--config": Reader(at("c.yaml"), CONFIG, YAML_CONTENTS),
    "--model-args": Reader(argument("model_args"), CONFIG, JSON_CONTENTS, ("nothing",)),
    "--gen-kwargs": Reader(argument("gen_kwargs"), CONFIG, JSON_CONTENTS, ("nothing", "NUL", "no UTF-8", "other keys")),
    "task.yaml": Reader(at("tasks/own/task.yaml"), ("tasks", "show", "own", "--include-path", "tasks"), YAML_CONTENTS),
    "group.yaml": Reader(
        at("tasks/own/group.yaml"), ("tasks", "show", "own", "--include-path", "tasks"), YAML_CONTENTS
    ),
    "a script in YAML": Reader(at("s.yaml"), (*RUN, "--model-args", "script=s.yaml"), YAML_CONTENTS),
    "a script in JSON": Reader(at("s.json"), (*RUN, "--model-args", "script=s.json"), JSON_CONTENTS, ("null",)),
    "predictions": Reader(
        at("p.jsonl"),
        ("run", "--model", "predictions:p.jsonl", "--sample", "--tasks", "boolq", "--output", "out"),
        JSON_CONTENTS,
    ),
    "a sample": Reader(
        rows("tasks/own/rows.jsonl"),
        ("run", "--model", "mock", "--include-path", "tasks", "--tasks", "own", "--sample", "--output", "out"),
        JSON_CONTENTS,
    ),
    "rows": Reader(
        rows("data/own/own/default/test.jsonl"),
        (
            "run",
            "--model",
            "mock",
            "--include-path",
            "tasks",
            "--tasks",
            "own",
            "--data-dir",
            "data",
            "--output",
            "out",
        ),
        JSON_CONTENTS,
    ),
    "rows in JSON": Reader(
        rows("data/own/own/default/test.json"),
        (
            "run",
            "--model",
            "mock",
            "--include-path",
            "tasks",
            "--tasks",
            "own",
            "--data-dir",
            "data",
            "--output",
            "out",
        ),
        JSON_CONTENTS,
    ),
    "results.json": Reader(at("old/results.json"), ("report", "old"), JSON_CONTENTS),
    "spec.json": Reader(at("old/spec.json"), ("run", "--resume", "old"), JSON_CONTENTS),
    "a policy": Reader(at("gate.yaml"), ("gate", "-b", "old", "-c", "old", "--policy", "gate.yaml"), YAML_CONTENTS),
    "a baseline": Reader(at("base.json"), ("gate", "-b", "base.json", "-c", "old"), JSON_CONTENTS),
    "a board": Reader(at("b.yaml"), ("leaderboard", "build", "--board", "b.yaml", "-o", "site"), YAML_CONTENTS),
    "an entry": Reader(at("e/e.json"), ("leaderboard", "validate", "e/e.json"), JSON_CONTENTS),
}
"""Ways to a reader; those without a command line have tests of their own (tests/text, tests/data)."""

CASES = [
    pytest.param(reader, name, id=f"{which}: {name}")
    for which, reader in READERS.items()
    for name in reader.contents
    if name not in reader.kept
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is whole, to be spoilt in copies."""
    folder = tmp_path_factory.mktemp("finished")
    done = CliRunner().invoke(
        app, ["run", "--model", "mock", "--tasks", "boolq@sample", "--output", str(folder / "old")]
    )
    assert done.exit_code == 0, done.output
    return folder / "old"


@pytest.mark.parametrize(("reader", "name"), CASES)
def test_what_cannot_be_read_is_one_line(
    reader: Reader, name: str, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVALKIT_DATA_DIR", raising=False)
    shutil.copytree(finished, tmp_path / "old")
    reader.place(tmp_path, reader.contents[name])
    done = CliRunner().invoke(app, list(reader.line))
    assert not isinstance(done.exception, Exception), repr(done.exception)[:500]
    validates = reader.line[:2] == ("leaderboard", "validate")  # whose answer to an entry that is wrong is 1
    assert done.exit_code in ((1, 2) if validates else (2,)), done.output[-500:]
    said = [line for line in done.output.splitlines() if "error" in line or validates]
    assert said
    assert max(map(len, said)) < 3000
    assert "Traceback" not in done.output


@pytest.mark.parametrize("which", [name for name in READERS if "--" not in name or name == "--config"])
def test_a_byte_order_mark_changes_nothing(
    which: str, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a mark before it the content is refused or taken for the same reason as without."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVALKIT_DATA_DIR", raising=False)
    said = []
    for content in (b'{"nonsense": 1}', b'\xef\xbb\xbf{"nonsense": 1}'):
        shutil.rmtree(tmp_path / "old", ignore_errors=True)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        shutil.copytree(finished, tmp_path / "old")
        READERS[which].place(tmp_path, content)
        done = CliRunner().invoke(app, list(READERS[which].line))
        said.append((done.exit_code, [line for line in done.output.splitlines() if "error" in line]))
    assert said[0] == said[1]
