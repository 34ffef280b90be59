"""Run directories: made, locked, gone on with, refused; what is written is read back the same."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import pytest

from evalkit.contract.errors import UserError
from evalkit.contract.types import (
    DatasetRef,
    Document,
    Generate,
    Group,
    GroupResult,
    MetricResult,
    Response,
    RunResult,
    SampleResult,
    Score,
    TaskInfo,
    TaskResult,
)
from evalkit.spec.models import RunSpec
from evalkit.store import RunDir, verify
from evalkit.store.files import safe_name
from evalkit.store.identity import digest

ENV = {"command": "evalkit run", "start_time": "2026-01-02T03:04:05.000+00:00", "packages": {"transformers": "5"}}


def spec(**changes):
    asked = {"model": {"name": "mock", "args": {"api_key": "s3cret"}}, "tasks": [{"name": "quiz"}], "limit": 3}
    return RunSpec.model_validate({**asked, **changes})


INFO = TaskInfo(
    name="quiz",
    version="2",
    kind="multiple_choice",
    dataset=DatasetRef("quiz/quiz", None, "abc"),
    split="test",
    num_fewshot=1,
    primary="acc,none",
    higher_is_better={"acc,none": True, "f1,none": True},
    tags=("small",),
    config={"task": "quiz", "limit": [1, 2.5, None]},
)


def sample(n, value):
    data = {"question": f"Which is {n}? é", "answer": n % 2}
    document = Document(id=n, data=data, hash=digest(data))
    requests = (Score(f"Q: {n}\nA:", " yes"), Score(f"Q: {n}\nA:", " no"))
    responses = (
        Response(loglikelihood=-0.1 * n, is_greedy=True, prompt_tokens=5, output_tokens=1),
        Response(loglikelihood=-1 / 3, is_greedy=False),
    )
    if value is None:
        broken = (responses[0], Response(status="error", error="boom"))
        return SampleResult(document, requests, broken, n % 2, status="error", error="boom", metrics={"acc,none": None})
    return SampleResult(
        document,
        requests,
        responses,
        target=n % 2,
        filtered={"none": [1.0, "x"]},
        metrics={"acc,none": value},
        statistics={"bleu": (1.0, 2.0)},
        extra={"note": "\ud800<b>"},
    )


SAMPLES = [sample(0, 1.0), sample(1, 0.0), sample(2, 1.0), sample(3, None)]


def metric(value=2 / 3, n=3, **changes):
    base = MetricResult("acc", "none", value, 0.1, (0.2, 0.9), n, True, "acc|agg:mean|n:3", primary=True, baseline=0.5)
    base = replace(base, aggregator="mean", unit="share")
    return replace(base, **changes)


def result(**changes):
    task = TaskResult(INFO, (metric(),), n=4, n_total=10, n_ok=3, n_error=1, data_source="mirror:abc")
    group = GroupResult(Group("all", ("quiz",), aggregate=("acc,none",)), (metric(),), (metric(stderr=None),))
    whole = RunResult(
        spec=spec(model={"name": "mock"}).model_dump(mode="json"),
        environment=ENV,
        model={"name": "mock", "backend": "mock", "fingerprint": "f", "max_length": 64, "n_parameters": None},
        tasks=(task,),
        groups=(group,),
        counters={"requests": 8, "seconds": {"answer": 0.25}},
    )
    return replace(whole, **changes)


@pytest.fixture
def run(tmp_path):
    with RunDir.create(tmp_path / "run", spec(), ENV) as made:
        made.write_samples("quiz", SAMPLES, INFO)
        made.write_results(result())
        yield made


def test_results_come_back_equal(run):
    assert RunDir.open(run.path).result() == result()
    assert RunDir.open(run.path).tasks() == ["quiz"]


def test_results_have_lm_evals_keys(run):
    content = json.loads((run.path / "results.json").read_text())
    row = {"name": "quiz", "alias": "quiz", "sample_len": 4, "acc,none": 2 / 3, "acc_stderr,none": 0.1}
    assert content["results"]["quiz"] == row
    assert content["groups"]["all"]["acc,none"] == 2 / 3
    assert content["results"]["all"] == content["groups"]["all"]
    assert content["group_subtasks"] == {"all": ["quiz"]}
    assert content["configs"] == {"quiz": {"task": "quiz", "limit": [1, 2.5, None]}}
    assert content["versions"] == {"all": "1", "quiz": "2"}
    assert content["n-shot"] == {"quiz": 1}
    assert content["higher_is_better"] == {"quiz": {"acc": True, "f1": True}}
    assert content["n-samples"] == {"quiz": {"original": 10, "effective": 4}}
    assert content["config"]["model"] == "mock"
    assert content["config"]["limit"] == 3
    assert content["config"]["fewshot_seed"] == 1234
    assert content["date"] == 1767323045.0
    assert content["transformers_version"] == "5"
    assert content["lm_eval_version"] is None
    assert list(content["task_hashes"]) == ["quiz"]
    assert content["evalkit"]["comparable"] is False  # 4 of 10 documents, one of them failed
    assert content["evalkit"]["sample"] is False


def test_a_full_run_is_comparable_and_a_sample_never(tmp_path):
    whole = TaskResult(INFO, (metric(),), n=3, n_total=3, n_ok=3)
    cases = {
        "full": ((whole,), True),
        "sample": ((replace(whole, info=replace(INFO, sample=True)),), False),
        "limited": ((replace(whole, n_total=4),), False),
    }
    for name, (tasks, comparable) in cases.items():
        with RunDir.create(tmp_path / name, spec(), ENV) as run:
            run.write_results(result(tasks=tasks))
            assert json.loads((run.path / "results.json").read_text())["evalkit"]["comparable"] is comparable


def test_numbers_that_json_has_not_are_null_and_stderr_na(tmp_path):
    odd = metric(value=float("inf"), stderr=None, interval=None)
    with RunDir.create(tmp_path / "r", spec(), ENV) as run:
        run.write_results(result(tasks=(TaskResult(INFO, (odd,), n=0, n_total=0),), groups=()))
        text = (run.path / "results.json").read_text()
        content = json.loads(text, parse_constant=lambda name: pytest.fail(name))
        assert content["results"]["quiz"]["acc,none"] is None
        assert content["results"]["quiz"]["acc_stderr,none"] == "N/A"
        assert "groups" not in content
        assert run.result().tasks[0].metrics[0].value is None


def test_samples_come_back(run):
    frame = run.samples("quiz")
    assert list(frame["doc_id"]) == [0, 1, 2, 3]
    assert list(frame["status"]) == ["ok", "ok", "ok", "error"]
    assert json.loads(frame["document"][1]) == SAMPLES[1].document.data
    assert list(frame["doc_hash"]) == [s.document.hash for s in SAMPLES]
    assert frame["prompt"][2] == "Q: 2\nA:"
    assert list(frame["choices"][0]) == [" yes", " no"]
    assert frame["responses"][0][1]["loglikelihood"] == -1 / 3
    assert frame["responses"][3][1]["error"] == "boom"
    assert [m["acc,none"] for m in frame["metrics"]][:3] == [1.0, 0.0, 1.0]
    assert frame["metrics"][3]["acc,none"] is None
    assert json.loads(frame["statistics"][0]) == {"bleu": [1.0, 2.0]}
    assert json.loads(frame["filtered"][0]) == {"none": [1.0, "x"]}
    assert json.loads(frame["target"][1]) == 1
    assert list(run.samples("quiz", ["doc_id", "metrics"]).columns) == ["doc_id", "metrics"]


def test_samples_without_metrics_or_rows(tmp_path):
    data = {"text": "x"}
    asked = (Generate("p1", until=("\n",)), Generate("p2", until=("\n",)))
    bare = SampleResult(Document(0, data, digest(data)), asked, (Response(text="a"), Response(text="b")), "t")
    with RunDir.create(tmp_path / "r", spec(), ENV) as run:
        run.write_samples("quiz", [bare], INFO)
        frame = run.samples("quiz")
        assert frame["metrics"][0] == {}
        assert list(frame["prompts"][0]) == ["p1", "p2"]
        run.write_samples("quiz", [], INFO)
        assert len(run.samples("quiz")) == 0
        with pytest.raises(UserError, match="no samples here"):
            run.samples("other")


def test_jsonl_has_lm_evals_fields(tmp_path):
    sampled = tuple(Generate("p", until=("\n",), max_tokens=9, repeat=n) for n in range(2))
    data = {"q": 1}
    generated = SampleResult(
        Document(5, data, digest(data)),
        sampled,
        (Response(text="one"), Response(text="two")),
        target=["a", "b"],
        filtered={"strict": "one", "loose": "two"},
        metrics={"em,strict": 1.0, "em,loose": 0.0},
    )
    with RunDir.create(tmp_path / "r", spec(log_samples=True), ENV) as run:
        path = run.write_samples("quiz", [SAMPLES[1], generated], INFO).with_suffix(".jsonl")
    first, strict, loose = [json.loads(line) for line in path.read_text().splitlines()]
    assert first["arguments"]["gen_args_1"] == {"arg_0": "Q: 1\nA:", "arg_1": " no"}
    assert first["resps"] == [[["-0.1", "True"]], [[str(-1 / 3), "False"]]]
    assert (first["acc"], first["metrics"], first["target"], first["doc_id"]) == (0.0, ["acc"], "1", 1)
    assert strict["resps"] == [["one", "two"]]
    assert strict["filtered_resps"] == ["one"]
    assert (strict["filter"], strict["em"], loose["filter"], loose["em"]) == ("strict", 1.0, "loose", 0.0)
    assert strict["arguments"]["gen_args_0"]["arg_1"]["max_gen_toks"] == 9
    assert strict["doc_hash"] == digest(data)


def test_names_stay_in_their_folder():
    for name in ("../../etc/passwd", "a/b", "..", ".hidden", "x" * 300, "é", "a b", ""):
        safe = safe_name(name)
        assert "/" not in safe
        assert not safe.startswith(".")
        assert len(safe) < 140
    assert safe_name("mmlu_anatomy") == "mmlu_anatomy"
    assert safe_name("a/b") != safe_name("a_b")
    assert safe_name("a/b") != safe_name("a:b")


def test_a_hostile_task_name_is_written_inside(tmp_path):
    name = "../../../evil"
    with RunDir.create(tmp_path / "r", spec(), ENV) as run:
        path = run.write_samples(name, SAMPLES, replace(INFO, name=name))
        assert path.parent == run.path / "samples"
        assert run.tasks() == [name]
        assert len(run.samples(name)) == 4


def test_the_same_spec_goes_on_and_engine_settings_may_differ(tmp_path):
    with RunDir.create(tmp_path / "r", spec(), ENV) as run:
        journal = run.journal()
        assert run.journal() is journal
    again = spec(engine={"batch_size": 8, "replicas": 2}, max_error_rate=0.5, output=str(tmp_path / "r"))
    with RunDir.create(tmp_path / "r", again, {"command": "again --token t0p"}) as run:
        assert run.spec().engine.batch_size == 8
        assert run.environment()["command"] == "evalkit run"
        assert run.environment()["resumes"] == [{"command": "again --token t0p"}]
        assert run.journal() is not journal


def test_another_spec_is_refused_with_what_changed(tmp_path):
    with RunDir.create(tmp_path / "r", spec(), ENV) as run:
        run.journal()
    other = spec(limit=5, tasks=[{"name": "quiz"}, {"name": "more"}], engine={"overlength": "skip"})
    with pytest.raises(UserError) as caught:
        RunDir.create(tmp_path / "r", other, ENV)
    message = str(caught.value)
    assert "limit: 3.0 -> 5.0" in message
    assert 'tasks.1.name: none -> "more"' in message
    assert 'engine.overlength: "truncate" -> "skip"' in message
    assert "\n" not in message
    RunDir.create(tmp_path / "r", spec(), ENV).close()  # and the refusal let the lock go


def test_a_run_that_answered_nothing_gives_way_to_another(tmp_path):
    RunDir.create(tmp_path / "r", spec(), ENV).close()
    with RunDir.create(tmp_path / "r", spec(limit=5), ENV) as run:
        assert run.spec().limit == 5
        assert run.environment()["resumes"] == []


def test_secrets_are_not_written(run):
    written = b"".join(f.read_bytes() for f in run.path.rglob("*") if f.is_file())
    assert b"s3cret" not in written


@pytest.mark.parametrize("case", ["file", "other", "missing", "empty"])
def test_what_is_no_run_directory_is_refused(tmp_path, case):
    path = tmp_path / "r"
    if case == "file":
        path.write_text("x")
    elif case in ("other", "empty"):
        path.mkdir()
    if case == "other":
        (path / "thesis.tex").write_text("x")
    if case in ("file", "other"):
        with pytest.raises(UserError, match=r"is a file|holds thesis\.tex"):
            RunDir.create(path, spec(), ENV)
    with pytest.raises(UserError, match=r"no such folder|not a run directory"):
        RunDir.open(path)


def test_broken_files_name_themselves(run):
    (run.path / "results.json").write_text('{"evalkit": {"schema": 1,\n "tasks": oops}}')
    with pytest.raises(UserError, match=r"results\.json:2: not valid JSON"):
        run.result()
    (run.path / "results.json").write_text('{"results": {}}')
    with pytest.raises(UserError, match="not written by evalkit"):
        run.result()
    (run.path / "spec.json").write_text('{"tasks": []}')
    with pytest.raises(UserError, match=r"spec\.json: model: Field required"):
        run.spec()
    run.samples_path("quiz").write_bytes(b"junk")
    with pytest.raises(UserError, match="not a readable Parquet file"):
        run.samples("quiz")


def test_a_run_without_results_says_how_to_finish(tmp_path):
    with (
        RunDir.create(tmp_path / "r", spec(), ENV) as run,
        pytest.raises(UserError, match="no results yet: finish it with: evalkit run --resume"),
    ):
        run.result()


def test_a_second_process_is_told_who_holds_the_directory(run):
    code = (
        "import sys; from pathlib import Path; from evalkit.contract.errors import UserError\n"
        "from evalkit.store import RunDir\n"
        "run = RunDir.open(Path(sys.argv[1])); print(len(run.samples('quiz')))\n"
        "try: run.journal()\nexcept UserError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(run.path)], capture_output=True, text=True, check=False)
    import os

    assert done.stdout.startswith("4\n"), done.stderr  # reading needs no lock
    assert f"in use by process {os.getpid()} on " in done.stdout
    run.close()
    done = subprocess.run([sys.executable, "-c", code, str(run.path)], capture_output=True, text=True, check=False)
    assert done.stdout == "4\n"


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    code = (
        "import sys, os, signal; sys.path.insert(0, sys.argv[2]); from pathlib import Path\n"
        "from test_rundir import spec, ENV; from evalkit.store import RunDir\n"
        "run = RunDir.create(Path(sys.argv[1]), spec(), ENV); run.journal(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    from pathlib import Path

    subprocess.run([sys.executable, "-c", code, str(tmp_path / "r"), str(Path(__file__).parent)], check=False)
    with RunDir.create(tmp_path / "r", spec(), ENV) as run:
        assert run.journal().count() == 0


def test_a_failed_save_raises_and_keeps_what_was(run, monkeypatch):
    def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(UserError, match=r"results\.json: could not be saved \(No space left"):
        run.write_results(result(partial=True))
    assert run.result() == result()
    with pytest.raises(UserError, match="No space left"):
        run.write_samples("quiz", SAMPLES[:1], INFO)
    assert len(run.samples("quiz")) == 4
    assert not list(run.path.rglob("*.tmp-*"))


def test_verify_finds_nothing_in_an_honest_run(run):
    assert verify(run.path) == []


def tamper(run, change):
    path = run.path / "results.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_verify_finds_a_changed_number(run):
    def change(content):
        content["evalkit"]["tasks"][0]["metrics"][0]["value"] = 0.7

    tamper(run, change)
    found = [str(problem) for problem in verify(run.path)]
    assert any(f"the samples' mean is {2 / 3}, results.json says 0.7" in line for line in found)
    assert any("group all" in line for line in found)
    assert any("results.quiz.acc,none is" in line for line in found)


def test_verify_finds_changed_samples(run):
    forged = [replace(SAMPLES[0], metrics={"acc,none": 0.0}), *SAMPLES[1:]]
    forged[2] = replace(forged[2], document=replace(forged[2].document, hash="0" * 64))
    run.write_samples("quiz", forged[:4], INFO)
    found = "\n".join(str(problem) for problem in verify(run.path))
    assert "quiz: the document does not match its hash in doc_id 2" in found
    assert "the samples' mean is 0.333" in found
    assert "task_hashes.quiz does not match" in found
    run.write_samples("quiz", SAMPLES[:2], INFO)
    found = "\n".join(str(problem) for problem in verify(run.path))
    assert "2 samples are kept, results.json counts 4" in found
    assert "0 samples have status error, results.json counts 1" in found
    run.samples_path("quiz").unlink()
    assert any("no samples here" in str(problem) for problem in verify(run.path))


def test_mean_of_many_values_is_exact_enough(tmp_path):
    values = [math.sin(n) ** 2 for n in range(500)]
    many = [replace(sample(n, 1.0), metrics={"acc,none": value}) for n, value in enumerate(values)]
    exact = metric(value=sum(values) / 500, n=500)
    task = TaskResult(INFO, (exact,), n=500, n_total=500, n_ok=500)
    with RunDir.create(tmp_path / "r", spec(), ENV) as run:
        run.write_samples("quiz", many, INFO)
        run.write_results(result(tasks=(task,), groups=()))
        assert verify(run) == []
