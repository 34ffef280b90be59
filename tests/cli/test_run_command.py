"""`evalkit run` from the line to the run directory, on the mock model and bundled items."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent.parent / "golden"
MOCK = ("run", "--model", "mock", "--quiet")


def read_results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def test_a_run_prints_its_plan_and_its_table_and_leaves_a_directory(evalkit, tmp_path):
    done = evalkit("run", "--model", "mock", "--tasks", "boolq,triviaqa", "--sample", "--output", "out")
    assert done.exit_code == 0, done.output
    plan, table = done.stderr, done.stdout
    assert "boolq" in plan
    assert "sample: not comparable with the full set" in plan
    assert "2 tasks" in plan
    assert "72" in plan  # 24 x 2 choices and 24 generations
    assert "boolq@bundled" in table
    assert "95 % interval" in table
    assert "sample: not comparable with the full set: boolq, triviaqa" in table
    assert f"results: {Path('out/results.json')}" in table
    for name in ("spec.json", "environment.json", "results.json", "report.html", "samples/boolq.parquet"):
        assert (tmp_path / "out" / name).is_file(), name


def test_results_have_lm_evals_keys(evalkit, tmp_path):
    assert evalkit(*MOCK, "--tasks", "boolq", "--sample", "--limit", "5", "--output", "out").exit_code == 0
    results = read_results(tmp_path / "out")
    assert set(results["results"]["boolq"]) >= {"acc,none", "acc_stderr,none", "alias"}
    assert results["n-samples"] == {"boolq": {"original": 24, "effective": 5}}
    assert results["n-shot"] == {"boolq": 0}
    assert results["evalkit"]["sample"] is True


def test_lm_evals_own_command_line_works(evalkit, tmp_path):
    done = evalkit(
        "run", "--model", "mock", "--model_args", "tokenizer=word,seed=3", "--tasks", "boolq", "piqa",
        "--num_fewshot", "2", "--batch_size", "auto:4", "--max_batch_size", "64", "--limit", "4", "--device", "cpu",
        "--gen_kwargs", "temperature=0", "--apply_chat_template", "--fewshot_as_multiturn", "true",
        "--system_instruction", "Be brief.", "--seed", "0,1234,1234,77", "--use_cache", "answers",
        "--output_path", "out", "--log_samples", "--sample",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "--max-batch-size is ignored" in done.stderr
    spec = json.loads((tmp_path / "out" / "spec.json").read_text())
    assert spec["seed"] == 77
    assert spec["num_fewshot"] == 2
    assert spec["model"]["args"] == {"tokenizer": "word", "seed": 3}
    assert spec["model"]["chat_template"] is True
    assert spec["model"]["system"] == "Be brief."
    assert (tmp_path / "answers").is_dir()
    lines = (tmp_path / "out" / "samples" / "boolq.jsonl").read_text().splitlines()
    assert len(lines) == 4
    assert "Be brief." in lines[0]


def test_json_on_stdout_is_nothing_but_json(evalkit):
    done = evalkit(*MOCK, "--tasks", "boolq", "--sample", "--limit", "3", "--json")
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert printed["results"]["boolq"]["acc,none"] in (0, 1 / 3, 2 / 3, 1)
    assert Path(printed["run"]).parts[0] == "runs"
    assert "-mock-" in printed["run"]


def test_a_share_and_a_random_limit(evalkit, tmp_path):
    assert evalkit(*MOCK, "--tasks", "boolq", "--sample", "--limit", "0.3", "--output", "share").exit_code == 0
    assert read_results(tmp_path / "share")["n-samples"]["boolq"]["effective"] == 8  # 7.2, rounded up
    chosen = []
    for folder in ("a", "b"):
        line = (*MOCK, "--tasks", "boolq", "--sample", "--limit", "5:random", "--log-samples", "--output", folder)
        assert evalkit(*line).exit_code == 0
        rows = (tmp_path / folder / "samples" / "boolq.jsonl").read_text().splitlines()
        chosen.append([json.loads(row)["doc_id"] for row in rows])
    assert chosen[0] == chosen[1] == sorted(chosen[0])
    assert chosen[0] != [0, 1, 2, 3, 4]


def test_the_same_command_again_asks_nothing_twice(evalkit, tmp_path):
    line = ("run", "--model", "mock", "--tasks", "boolq", "--sample", "--output", "out")
    first = evalkit(*line)
    before = read_results(tmp_path / "out")["results"]
    second = evalkit(*line, "--batch-size", "3")
    assert first.exit_code == second.exit_code == 0
    assert "48 already answered" in second.stderr
    assert read_results(tmp_path / "out")["results"] == before


def test_resume_needs_the_directory_and_nothing_else(evalkit, tmp_path):
    assert evalkit(*MOCK, "--tasks", "boolq", "--sample", "--output", "out").exit_code == 0
    (tmp_path / "out" / "results.json").unlink()
    done = evalkit("run", "--resume", "out")
    assert done.exit_code == 0, done.output
    assert "48 already answered" in done.stderr
    assert read_results(tmp_path / "out")["n-samples"]["boolq"]["effective"] == 24


def test_resume_with_another_question_is_refused_with_the_difference(evalkit):
    assert evalkit(*MOCK, "--tasks", "boolq", "--sample", "--output", "out").exit_code == 0
    done = evalkit("run", "--resume", "out", "--num_fewshot", "2")
    assert done.exit_code == 2
    assert "num_fewshot: none -> 2" in done.stderr


def test_too_many_failed_items_fail_the_run_but_are_written(evalkit, tmp_path):
    script = tmp_path / "script.json"
    script.write_text(json.dumps([{"match": "octopus", "error": "out of ink"}]))
    line = (*MOCK, "--model-args", f"script={script}", "--tasks", "boolq", "--sample", "--output", "out")
    done = evalkit(*line)
    assert done.exit_code == 1
    assert "4.17% of the items ended in an error" in done.stderr
    assert "evalkit retry out" in done.stderr
    results = read_results(tmp_path / "out")
    assert results["evalkit"]["tasks"][0]["n_error"] == 1
    assert results["evalkit"]["tasks"][0]["metrics"][0]["n"] == 23
    assert evalkit("retry", "out", "--quiet").exit_code == 1
    assert evalkit(*line, "--max-error-rate", "0.1").exit_code == 0


def test_a_configuration_runs_its_models_in_turn(evalkit, tmp_path):
    (tmp_path / "experiment.yaml").write_text(
        """
models:
  - {name: mock, label: one}
  - {name: mock, label: two, args: {seed: 2}}
tasks:
  - boolq
  - {name: arc_easy, num_fewshot: 1, limit: 3}
sample: true
limit: 4
output: matrix
"""
    )
    done = evalkit("run", "--config", "experiment.yaml", "--quiet")
    assert done.exit_code == 0, done.output
    for label in ("one", "two"):
        results = read_results(tmp_path / "matrix" / label)
        assert results["n-shot"] == {"arc_easy": 1, "boolq": 0}
        assert results["n-samples"]["boolq"]["effective"] == 4
        assert results["n-samples"]["arc_easy"]["effective"] == 3


def test_groups_have_micro_and_macro_rows(evalkit):
    done = evalkit(*MOCK, "--tasks", "mmlu", "--sample", "--limit", "1")
    assert done.exit_code == 0, done.output
    assert "mmlu_stem" in done.stdout
    whole = evalkit(*MOCK, "--tasks", "mmlu", "--sample", "--limit", "1", "--all-metrics").stdout
    assert "acc ↑ (micro)" in whole
    assert "acc ↑ (macro)" in whole


def test_outputs_made_elsewhere_are_scored(evalkit, tmp_path):
    (tmp_path / "answers.txt").write_text("".join(f"no idea {n}\n" for n in range(24)))
    done = evalkit("run", "--model", "predictions:answers.txt", "--tasks", "triviaqa", "--sample", "--quiet", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["results"]["triviaqa"]["em,none"] == 0


def test_verify_and_report_read_the_run(evalkit, tmp_path):
    assert evalkit(*MOCK, "--tasks", "boolq", "--sample", "--output", "out").exit_code == 0
    sound = evalkit("verify", "out")
    assert (sound.exit_code, sound.stdout) == (0, "out: sound\n")
    made = evalkit("report", "out", "--out", "page.html")
    assert made.exit_code == 0
    assert (tmp_path / "page.html").stat().st_size > 10_000
    results = read_results(tmp_path / "out")
    results["results"]["boolq"]["acc,none"] = 0.99
    (tmp_path / "out" / "results.json").write_text(json.dumps(results))
    broken = evalkit("verify", "out")
    assert broken.exit_code == 1
    assert "acc" in broken.output


def test_cache_commands(evalkit):
    assert evalkit(*MOCK, "--tasks", "boolq", "--sample", "--cache", "answers").exit_code == 0
    again = evalkit("run", "--model", "mock", "--tasks", "boolq", "--sample", "--cache", "answers")
    assert "48 already answered" in again.stderr
    assert "answers: 48" in evalkit("cache", "stats", "answers").output
    assert "sound" in evalkit("cache", "verify", "answers").output
    assert "removed 48 answers" in evalkit("cache", "prune", "answers", "--max-size", "0k").output


def test_cache_commands_without_a_folder_are_about_what_evalkit_keeps_for_itself(evalkit, tmp_path, monkeypatch):
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "mine"))
    for number, name in enumerate(("encodings/a.npz", "encodings/b.npz", "derived/templates/c.bin", "hashes/d.json")):
        file = tmp_path / "mine" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(1000))
        os.utime(file, (time.time() - 3600 * (number + 1),) * 2)
    shown = evalkit("cache", "stats").output
    assert f"token ids: 2 files, 2,000 bytes in {tmp_path / 'mine' / 'encodings'}\n" in shown
    assert "templates: 1 files, 1,000 bytes" in shown
    assert "hashes of files: 1 files" in shown
    assert "removed 1 files" in evalkit("cache", "prune", "--max-size", "3k").output
    assert not (tmp_path / "mine" / "hashes" / "d.json").exists()
    assert "removed 1 files" in evalkit("cache", "prune", "--older-than", "150m").output
    assert not (tmp_path / "mine" / "derived" / "templates" / "c.bin").exists()
    assert "removed 0 files" in evalkit("cache", "prune", "--older-than", "1d").output
    assert evalkit("cache", "prune").exit_code == 2
    assert evalkit("cache", "verify").exit_code == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (("--help",), ("run", "retry", "report", "tasks", "models", "data", "cache")),
        (("run", "--help"), ("--model-args", "--num-fewshot", "--limit", "--overlength", "--resume", "truncate|skip")),
        (("tasks", "list"), ("mmlu", "hellaswag", "lambada_openai")),
        (("tasks", "list", "mmlu_an*"), ("mmlu_anatomy",)),
        (("tasks", "show", "mmlu"), ("mmlu_stem", "group")),
        (("models", "list"), ("smollm2-135m",)),
        (("version",), ("evalkit", "python", "torch")),
        (("cache", "--help"), ("stats", "verify", "prune")),
        (("data", "pull", "--help"), ("--to",)),
    ],
)
def test_what_the_small_commands_say(evalkit, line, words):
    done = evalkit(*line)
    assert done.exit_code == 0, done.output
    for word in words:
        assert word in done.output


def test_a_file_and_a_resumed_run_keep_their_include_path(evalkit, tmp_path):
    """Of --include-path, which may be repeated, nothing given is nothing said."""
    shutil.copytree(GOLDEN / "tasks", tmp_path / "own")
    shutil.copytree(GOLDEN / "data", tmp_path / "data")
    Path("run.yaml").write_text(
        "model: mock\ntasks: golden_word\ninclude_path: own\ndata_dir: data\noutput: out\nlimit: 3\n", "utf-8"
    )
    for line in (("--config", "run.yaml"), ("--resume", "out")):
        done = evalkit("run", "--quiet", *line)
        assert done.exit_code == 0, done.output
        assert read_results(tmp_path / "out")["evalkit"]["spec"]["include_path"] == ["own"]
