"""`evalkit prompts export`, and `--samples` that reads what it wrote or what lm_eval's users write."""

import json

import pytest

import evalkit as ek


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_what_would_be_asked_is_what_is_asked(evalkit, tmp_path):
    asked = ["--tasks", "winogrande@bundled,triviaqa@bundled@2shot,gsm8k_cot_self_consistency@bundled", "--limit", 3]
    done = evalkit("prompts", "export", *asked, "-o", "prompts.jsonl")
    assert done.exit_code == 0, done.output
    rows = lines(tmp_path / "prompts.jsonl")
    run = evalkit("run", "--model", "mock", *asked, "--output", "run", "--quiet")
    assert run.exit_code == 0, run.output
    for task in ek.load_run(tmp_path / "run").tasks:
        samples = ek.load_run(tmp_path / "run").samples(task)
        ours = [row for row in rows if row["task"] == task]
        for key in ("doc_id", "doc_hash", "prompt", "target"):
            assert [row[key] for row in ours] == samples[key].tolist()
    assert {row["generation"]["replies"] for row in rows if row["task"].startswith("gsm8k")} != {1}
    assert all(len(row["prompts"]) == 2 for row in rows if row["task"] == "winogrande")


def test_a_conversation_is_in_the_models_words_without_its_weights(evalkit, tmp_path):
    line = ["--model", "mock", "--tasks", "boolq@bundled", "--chat-template", "--limit", 1]
    assert evalkit("prompts", "export", *line, "-o", "chat.jsonl").exit_code == 0
    assert evalkit("run", *line, "--output", "run", "--quiet").exit_code == 0
    (row,) = lines(tmp_path / "chat.jsonl")
    assert row["prompt"] == ek.load_run(tmp_path / "run").samples("boolq")["prompt"][0]


@pytest.mark.parametrize("how", ["text", "file", "lines", "hash"])
def test_documents_are_asked_by_number_or_hash(evalkit, tmp_path, how):
    assert evalkit("prompts", "export", "--tasks", "boolq@bundled", "-o", "all.jsonl").exit_code == 0
    rows = lines(tmp_path / "all.jsonl")
    (tmp_path / "some.json").write_text('{"boolq": [5, 0]}')
    (tmp_path / "some.jsonl").write_text("".join(json.dumps(rows[at]) + "\n" for at in (5, 0)))
    value = {
        "text": '{"boolq": [0, 5]}',
        "file": "some.json",
        "lines": "some.jsonl",
        "hash": json.dumps({"boolq": [rows[5]["doc_hash"][:12], rows[0]["doc_hash"]]}),
    }[how]
    line = ["run", "--model", "mock", "--tasks", "boolq@bundled,piqa@bundled", "--samples", value, "--quiet"]
    done = evalkit(*line, "--output", "run")
    assert done.exit_code == 0, done.output
    run = ek.load_run(tmp_path / "run")
    assert run.samples("boolq")["doc_id"].tolist() == [0, 5]
    assert len(run.samples("piqa")) > 2
    assert "not all documents were scored (--samples): boolq 2 of 24" in done.stdout
    assert evalkit(*line, "--output", "run").exit_code == 0  # the same again goes on with it


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ('{"boolk": [0]}', "did you mean boolq"),
        ('{"boolq": [99]}', "no document 99"),
        ('{"boolq": ["abc"]}', "is no hash"),
        ('{"boolq": 3}', "must be lists by task"),
        ("nowhere.json", "cannot be read"),
        ('{"boolq": [0', "not valid JSON"),
    ],
)
def test_documents_that_are_not_there_are_told(evalkit, value, told):
    done = evalkit("run", "--model", "mock", "--tasks", "boolq@bundled", "--samples", value, "--output", "run")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert told in done.stderr


def test_a_limit_and_samples_contradict(evalkit):
    line = ["run", "--model", "mock", "--tasks", "boolq@bundled", "-E", '{"boolq": [0]}', "--limit", 3]
    done = evalkit(*line)
    assert done.exit_code == 2
    assert "leave --limit out" in done.stderr
