"""The tree of commands: summaries, versions, flags without values, settings shared between commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from evalkit import __version__
from evalkit.cli.app import COMMANDS, app, load
from evalkit.spec.option import MODEL
from evalkit.spec.table import SETTINGS, of_panel

JUDGES = ("pairwise", "pointwise", "faithfulness", "truthful", "rag", "answer")


def invoke(*line: str) -> Any:
    return CliRunner().invoke(app, list(line), env={"COLUMNS": "200"})


def every() -> Iterator[tuple[str, ...]]:
    for name in COMMANDS:
        yield (name,)
        yield from ((name, inner) for inner in getattr(load(name), "commands", {}))


@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_summary_is_the_first_line_of_the_commands_help(name: str) -> None:
    first = " ".join((load(name).help or "").split("\n\n")[0].split())
    assert first == COMMANDS[name]


def test_the_help_of_the_program_shows_every_command() -> None:
    shown = invoke("--help").output
    for name, summary in COMMANDS.items():
        assert name in shown
        assert summary.split()[0] in shown


@pytest.mark.parametrize("command", list(every()), ids=" ".join)
def test_flags_that_take_no_value_show_none(command: tuple[str, ...]) -> None:
    done = invoke(*command, "--help")
    assert done.exit_code == 0, done.output
    assert "<bool>" not in done.output
    assert "--help" in done.output


def test_version() -> None:
    done = invoke("--version")
    assert (done.exit_code, done.output) == (0, f"evalkit {__version__}\n")


def test_an_unknown_command_is_told() -> None:
    done = invoke("rnu")
    assert done.exit_code == 2
    assert "rnu" in done.output


@pytest.mark.parametrize(
    ("group", "name", "keys"),
    [
        (None, "bench", of_panel(MODEL)),
        (None, "estimate", ("model", "dtype", "quant", "revision")),
        ("peft", "compose", ("model", "peft", "dtype", "device")),
        *(("judge", name, (*of_panel(MODEL), "chat_template")) for name in JUDGES),
    ],
)
def test_commands_share_the_options_of_run(group: str | None, name: str, keys: tuple[str, ...]) -> None:
    command = load(name) if group is None else load(group).commands[name]
    run = {param.name: param for param in load("run").params}
    found = {param.name: param for param in command.params}
    for key in keys:
        assert found[key].opts[0] == run[key].opts[0] == SETTINGS[key].flag
        assert found[key].help.partition(r" \[")[0] == run[key].help.partition(r" \[")[0]


@pytest.mark.parametrize(
    "line", [["--no-chat-template"], ["--chat-template"], ["--model_args", "seed=1", "tokenizer=word"]]
)
def test_a_judge_reads_its_line_as_run_does(line: list[str], tmp_path: Any) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"question": "q", "answer": "a"}\n', "utf-8")
    done = invoke("judge", "pointwise", str(rows), "-m", "mock", *line)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("evalkit run --tasks hella", "hellaswag"),
        ("evalkit run --tasks boolq,hella", "boolq,hellaswag"),
        ("evalkit run --model smol", "smollm2-135m"),
        ("evalkit estimate --model smol", "smollm2-135m"),
    ],
)
def test_the_shell_completes_tasks_and_models(words, offered):
    environment = {**os.environ, "_EVALKIT_COMPLETE": "complete_bash", "COMP_WORDS": words}
    environment["COMP_CWORD"] = str(len(words.split()) - 1)
    done = subprocess.run([sys.executable, "-m", "evalkit"], env=environment, capture_output=True, text=True)
    assert offered in done.stdout.split(), done.stdout + done.stderr
