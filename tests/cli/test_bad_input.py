"""Every bad input: one clear line with what, where and what to do; exit code 2; no traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TASK = """
name: capitals
version: "1"
dataset: {id: example/capitals, config: default, splits: {eval: test}}
kind: multiple_choice
prompt: "{{ country }}?"
choices: options
target: answer
metrics: [{metric: acc}]
"""
ITEM = {"country": "Norway", "options": ["Oslo", "Bergen"], "answer": 0}


def task(folder: Path, text: str = TASK) -> Path:
    (folder / "tasks" / "capitals").mkdir(parents=True)
    (folder / "tasks" / "capitals" / "task.yaml").write_text(text)
    return folder / "tasks"


def mirror(folder: Path, content: str) -> Path:
    split = folder / "mirror" / "example" / "capitals" / "default" / "test.jsonl"
    split.parent.mkdir(parents=True)
    split.write_text(content)
    return folder / "mirror"


def refused(done) -> str:
    """The one line on stderr, after the plan if there is one."""
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    lines = [line for line in done.stderr.splitlines() if line.startswith("evalkit: error: ")]
    assert len(lines) == 1, done.stderr
    assert done.stderr.rstrip().endswith(lines[0])
    return lines[0]


def test_an_unknown_task(evalkit):
    assert "did you mean boolq" in refused(evalkit("run", "--model", "mock", "--tasks", "bolq", "--sample"))


def test_an_unknown_model(evalkit):
    message = refused(evalkit("run", "--model", "smollm2-153m", "--tasks", "boolq", "--sample"))
    assert "'smollm2-153m': did you mean 'smollm2-135m'?" in message


def test_an_unknown_backend(evalkit):
    message = refused(evalkit("run", "--model", "x", "--backend", "hff", "--tasks", "boolq", "--sample"))
    assert "hff" in message


def test_a_malformed_task_file(evalkit, tmp_path):
    folder = task(tmp_path, TASK.replace("kind: multiple_choice", "kind: multiple_chioce"))
    message = refused(evalkit("run", "--model", "mock", "--tasks", "capitals", "--include-path", folder))
    assert "task.yaml:5: kind" in message


def test_a_task_file_that_is_no_yaml(evalkit, tmp_path):
    folder = task(tmp_path, "name: [capitals\n")
    assert "task.yaml:2" in refused(evalkit("run", "--model", "mock", "--tasks", "capitals", "--include-path", folder))


def test_an_empty_split(evalkit, tmp_path):
    line = ("--include-path", task(tmp_path), "--data-dir", mirror(tmp_path, ""))
    message = refused(evalkit("run", "--model", "mock", "--tasks", "capitals", *line))
    assert "empty" in message
    assert "test" in message


def test_a_missing_field(evalkit, tmp_path):
    row = {key: value for key, value in ITEM.items() if key != "country"}
    line = ("--include-path", task(tmp_path), "--data-dir", mirror(tmp_path, json.dumps(row) + "\n"))
    message = refused(evalkit("run", "--model", "mock", "--tasks", "capitals", *line))
    assert "country" in message


def test_a_mirror_with_a_broken_line(evalkit, tmp_path):
    content = json.dumps(ITEM) + "\n" + json.dumps(ITEM)[:-5] + "\n"
    line = ("--include-path", task(tmp_path), "--data-dir", mirror(tmp_path, content))
    assert "test.jsonl:2" in refused(evalkit("run", "--model", "mock", "--tasks", "capitals", *line))


def test_a_mirror_without_the_data_set(evalkit, tmp_path):
    (tmp_path / "empty").mkdir()
    line = ("--include-path", task(tmp_path), "--data-dir", tmp_path / "empty")
    message = refused(evalkit("run", "--model", "mock", "--tasks", "capitals", *line))
    assert "example/capitals" in message
    assert "data pull" in message


@pytest.mark.parametrize("limit", ["0", "-1", "0.0", "x", "2.5", "3:sorted"])
def test_a_limit_that_is_none(evalkit, limit):
    message = refused(evalkit("run", "--model", "mock", "--tasks", "boolq", "--sample", "--limit", limit))
    assert f"--limit {limit}" in message


def test_a_model_folder_without_weights(evalkit, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')
    message = refused(evalkit("run", "--model", tmp_path / "model", "--tasks", "boolq", "--sample"))
    assert str(tmp_path / "model") in message
    assert "weights" in message


def test_a_model_folder_that_is_empty(evalkit, tmp_path):
    (tmp_path / "model").mkdir()
    message = refused(evalkit("run", "--model", tmp_path / "model", "--tasks", "boolq", "--sample"))
    assert str(tmp_path / "model") in message


def test_a_corrupt_gguf(evalkit, tmp_path):
    pytest.importorskip("torch", reason="needs the extra hf")
    (tmp_path / "model.gguf").write_bytes(b"this is no model")
    message = refused(evalkit("run", "--model", tmp_path / "model.gguf", "--tasks", "boolq", "--sample"))
    assert "model.gguf" in message


def test_an_output_folder_that_cannot_be_made(evalkit, tmp_path):
    (tmp_path / "file").write_text("in the way")
    for output in ("file", "file/run"):
        message = refused(evalkit("run", "--model", "mock", "--tasks", "boolq", "--sample", "--output", output))
        assert output in message
        assert "--output" in message


@pytest.mark.skipif(
    os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_an_output_folder_without_rights(evalkit, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "locked" in refused(
        evalkit("run", "--model", "mock", "--tasks", "boolq", "--sample", "--output", "locked/run")
    )


def test_an_output_folder_that_holds_something_else(evalkit, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("...")
    message = refused(evalkit("run", "--model", "mock", "--tasks", "boolq", "--sample", "--output", "mine"))
    assert "thesis.tex" in message


def test_a_run_directory_that_is_none(evalkit, tmp_path):
    for command in (("run", "--resume"), ("retry",), ("verify",), ("report",)):
        assert "nowhere" in refused(evalkit(*command, "nowhere"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (("--tasks", ""), "--tasks: which tasks?"),
        ((), "--tasks: which tasks?"),
        (("--tasks", "boolq", "--model-args", "tokenizer"), "--model-args: 'tokenizer' is not key=value"),
        (("--tasks", "boolq", "--model-args", "trust_remote_code=True"), "trust_remote_code"),
        (("--tasks", "boolq", "--gen-kwargs", "temperature=hot"), "temperature"),
        (("--tasks", "boolq", "--batch-size", "0"), "--batch-size: must be a positive number or auto (got 0)"),
        (("--tasks", "boolq", "--seed", "x"), "--seed x"),
        (("--tasks", "boolq", "--overlength", "cut"), "--overlength"),
        (("--tasks", "boolq", "--max-error-rate", "2"), "--max-error-rate"),
        (("--tasks", "boolq", "--num-fewshot", "-2"), "--num-fewshot: must be 0 or more (got -2)"),
        (("--tasks", "boolq@samples"), "@samples"),
        (("--tasks", "boolq@5shot,boolq@2shot"), "twice"),
        (("--tasks", "boolq", "--config", "nothing.yaml"), "nothing.yaml"),
        (("--tasks", "boolq", "--include-path", "nothing"), "--include-path nothing"),
        (("--tasks", "boolq", "--model", "predictions:nothing.txt"), "nothing.txt"),
    ],
)
def test_a_flag_with_a_wrong_value(evalkit, line, words):
    assert words in refused(evalkit("run", "--model", "mock", "--sample", *line))


def test_more_shots_than_examples(evalkit):
    message = refused(evalkit("run", "--model", "mock", "--tasks", "boolq", "--sample", "--num-fewshot", "999"))
    assert "boolq" in message


def test_cache_commands_do_not_make_a_cache(evalkit, tmp_path):
    assert "no cache" in refused(evalkit("cache", "stats", "nowhere"))
    assert not (tmp_path / "nowhere").exists()


def test_debug_shows_the_traceback(evalkit):
    done = evalkit("run", "--model", "mock", "--tasks", "bolq", "--sample", "--debug")
    assert done.exit_code == 1
    assert "bolq" in str(done.exception)


@pytest.mark.parametrize(
    "line",
    [
        ["--model", "mock", "--tasks", "bolq"],
        ["--model", "mock", "--tasks", "boolq", "--limit", "0"],
        ["--model", "nobody/no-such-model", "--tasks", "boolq", "--quiet"],
    ],
)
def test_the_installed_program_exits_with_2_and_one_line(line, tmp_path):
    command = [sys.executable, "-m", "evalkit", "run", "--sample", *line]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=offline, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("evalkit: error: ")
    assert done.stderr.count("\n") == 1
