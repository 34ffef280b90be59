"""`evalkit tasks list`: a line a task, groups and families apart, a word to search for."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Evalkit

BENCHMARKS = ("mmlu", "hellaswag", "boolq", "arc_easy", "piqa", "triviaqa", "order:TASK", "wmt22:de-en", "quick")


def names(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines() if line.startswith(" ") and line.strip()]


@pytest.mark.parametrize("columns", ["80", "160"])
def test_every_benchmark_has_one_line(evalkit: Evalkit, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    done = evalkit("tasks", "list")
    assert done.exit_code == 0, done.output
    found = names(done.stdout)
    for name in BENCHMARKS:
        assert found.count(name) == 1, name
    assert "mmlu_anatomy" not in found
    assert "parts of benchmarks are not shown" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= int(columns)
    assert "mmlu_anatomy" in names(evalkit("tasks", "list", "--all").stdout)


def test_a_word_searches_names_data_and_texts(evalkit: Evalkit) -> None:
    assert {"mmlu_anatomy", "mmlu_virology"} <= set(names(evalkit("tasks", "list", "mmlu_*").stdout))
    assert "boolq" in names(evalkit("tasks", "list", "super_glue").stdout)
    assert "wmt22:de-en" in names(evalkit("tasks", "list", "translation").stdout)
    nothing = evalkit("tasks", "list", "xyzzy")
    assert nothing.exit_code == 2
    assert "xyzzy" in nothing.stderr


def test_long_and_json_say_more(evalkit: Evalkit) -> None:
    assert "aps/super_glue boolq" in evalkit("tasks", "list", "boolq", "--long").stdout
    (row,) = json.loads(evalkit("tasks", "list", "boolq", "--json").stdout)
    assert row["kind"] == "multiple_choice"
