"""`evalkit.evaluate` and `Run`, on the mock model and on objects."""

import itertools
import json
from pathlib import Path

import pytest

import evalkit


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    tasks = ["boolq@1shot", {"name": "triviaqa", "limit": 5}]
    output = tmp_path_factory.mktemp("api") / "run"
    return evalkit.evaluate("mock", tasks, sample=True, limit=8, output=output, progress=False)


class Parrot:
    """Likes short continuations, repeats the last word, and counts what it was asked."""

    def __init__(self, fingerprint="parrot-1"):
        self.info = evalkit.ModelInfo("Polly", "parrot", fingerprint, max_length=1 << 20)
        self.asked = 0
        self.closed = False

    def respond(self, requests):
        for index, request in enumerate(requests):
            self.asked += 1
            if isinstance(request, evalkit.Score):
                yield index, evalkit.Response(loglikelihood=-float(len(request.continuation)), is_greedy=False)
            else:
                yield index, evalkit.Response(text=request.context.split()[-1], finish="stop")

    def close(self):
        self.closed = True


class Sums:
    """A benchmark in one class: data, prompt and scoring."""

    def __init__(self, name="sums", num_fewshot=0):
        self.info = evalkit.TaskInfo(
            name=name,
            version="1",
            kind="generate",
            dataset=None,
            split="test",
            num_fewshot=num_fewshot,
            primary="exact,none",
            higher_is_better={"exact": True},
        )

    def documents(self, data):
        rows = ({"question": f"{n} + {n} =", "answer": str(2 * n)} for n in range(10))
        return [evalkit.Document(index, row, f"{index:064x}") for index, row in enumerate(rows)]

    def requests(self, documents, style):
        for document in documents:
            yield (evalkit.Generate(document.data["question"], until=("\n",), max_tokens=4),)

    def score(self, document, requests, responses):
        value = float((responses[0].text or "").strip() == document.data["answer"])
        return evalkit.SampleResult(
            document, requests, tuple(responses), document.data["answer"], metrics={"exact,none": value}
        )

    def summarize(self, samples):
        values = [sample.metrics["exact,none"] for sample in samples if sample.status == "ok"]
        mean = sum(values) / len(values)
        return (
            evalkit.MetricResult(
                "exact", "none", mean, None, None, len(values), True, "exact|agg:mean", primary=True, aggregator="mean"
            ),
        )


def adds(request):
    left, _, right, _ = request.context.split()
    return f"{int(left) + int(right)}\nand so on"


def test_strings_do_what_the_command_line_does(run):
    written = json.loads((run.path / "results.json").read_text("utf-8"))
    assert written["n-shot"] == {"boolq": 1, "triviaqa": 0}
    assert {name: one["effective"] for name, one in written["n-samples"].items()} == {"boolq": 8, "triviaqa": 5}
    assert written["results"]["boolq"]["acc,none"] == run["boolq"]["acc"].value
    assert written["evalkit"]["spec"]["model"]["given"] is None
    assert (run.path / "report.html").is_file()


def test_a_metric_has_value_error_interval_and_n(run):
    metric = run["boolq"]["acc"]
    assert metric == run["boolq"]["acc,none"] == run["boolq"].primary
    assert metric.n == 8
    assert metric.interval[0] <= metric.value <= metric.interval[1]
    assert metric.stderr > 0


def test_unknown_names_are_key_errors_with_near_names(run):
    with pytest.raises(KeyError, match="did you mean boolq"):
        run["boolk"]
    with pytest.raises(evalkit.UserError, match="no metric 'akk'"):
        run["boolq"]["akk"]
    assert "boolq" in run
    assert "boolk" not in run
    assert run["boolq"].get("akk") is None


def test_the_frame_has_one_row_a_metric(run):
    frame = run.to_pandas()
    assert list(dict.fromkeys(frame["task"])) == ["boolq", "triviaqa"]
    row = frame[(frame.task == "boolq") & (frame.metric == "acc")].iloc[0]
    assert (row.value, row.n, row.level, row.num_fewshot) == (run["boolq"]["acc"].value, 8, "task", 1)
    assert frame.primary.sum() == 2


def test_samples_are_a_frame_with_documents_and_metrics(run):
    frame = run.samples("triviaqa")
    assert len(frame) == 5
    assert isinstance(frame["document"][0], dict)
    primary = run["triviaqa"].primary
    assert frame[primary.key].mean() == primary.value


def test_a_groups_samples_and_averages_come_together():
    run = evalkit.evaluate("mock", "mmlu@sample", limit=1, progress=False)
    frame = run.samples("mmlu")
    assert len(frame) == run["mmlu"]["acc"].n == len(set(frame["task"]))
    assert frame["acc,none"].mean() == pytest.approx(run["mmlu"]["acc"].value)
    assert run["mmlu"].macro["acc"].value == pytest.approx(run["mmlu"]["acc"].value)
    assert set(run.to_pandas().level) == {"task", "micro", "macro"}


def test_a_run_is_shown_short_and_as_escaped_html(run):
    assert repr(run).startswith("<Run of mock: boolq acc ")
    assert len(repr(run)) < 300
    evil = evalkit.evaluate(evalkit.mock(lambda _: "no", name="<img src=x onerror=alert(1)>"), "boolq@sample")
    page = evil._repr_html_()
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "not comparable with the full set" in page
    assert "<script" not in page


def test_a_run_is_loaded_again_and_reported(run, tmp_path):
    again = evalkit.load_run(str(run.path))
    assert again.result == run.result
    assert "boolq" in again.report(tmp_path / "r.html").read_text("utf-8")
    assert again.report(tmp_path / "r.md").read_text("utf-8").startswith("#")
    with pytest.raises(evalkit.UserError, match="no such folder"):
        evalkit.load_run(tmp_path / "none")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"limit": 0}, r"limit=: must be a count \(20\)"),
        ({"num_fewshot": -1}, r"num_fewshot=: must be 0 or more"),
        ({"dytpe": "float16"}, r"dytpe=: unknown setting. did you mean dtype\?"),
        ({"tasks": "boolk"}, "unknown task 'boolk'; did you mean boolq"),
        ({"tasks": []}, "tasks=: which tasks"),
        ({"tasks": [["boolq"]]}, r"tasks\[0\]=: a list is neither"),
        ({"model": 3}, "model=: a int is neither a name nor a backend"),
        ({"model": Parrot}, "model=: the class Parrot is neither"),
        ({"resume": True}, "resume=: which run"),
    ],
)
def test_mistakes_are_one_line_that_names_the_keyword(settings, message):
    model, tasks = settings.pop("model", "mock"), settings.pop("tasks", "boolq@sample")
    with pytest.raises(evalkit.UserError, match=message) as caught:
        evalkit.evaluate(model, tasks, progress=False, **settings)
    assert "\n" not in str(caught.value)
    assert list(Path.cwd().iterdir()) == []


# -- objects ----------------------------------------------------------------------------------------------------------


def test_a_backend_object_is_run_recorded_and_left_open():
    parrot = Parrot()
    run = evalkit.evaluate(parrot, ["boolq@sample", "triviaqa@sample"], output="run", limit=4, progress=False)
    assert parrot.asked == 4 * 2 + 4
    assert not parrot.closed
    record = json.loads((run.path / "results.json").read_text("utf-8"))["evalkit"]
    assert record["spec"]["model"]["name"] == "Polly"
    assert record["spec"]["model"]["given"] == {"type": f"{__name__}.Parrot", "fingerprint": "parrot-1"}
    assert record["model"]["backend"] == "parrot"


def test_a_run_of_an_object_goes_on_only_where_the_object_is_given_again():
    parrot = Parrot()
    evalkit.evaluate(parrot, "boolq@sample", output="run", progress=False)
    results = Path("run") / "results.json"
    results.unlink()
    again = evalkit.evaluate(Parrot(), "boolq@sample", output="run", resume=True, progress=False)
    assert results.is_file()
    assert again["boolq"].primary.n == 24
    with pytest.raises(evalkit.UserError, match=r"model\.given\.fingerprint: \"parrot-1\" -> \"parrot-2\""):
        evalkit.evaluate(Parrot("parrot-2"), "boolq@sample", output="run", resume=True, progress=False)


def test_the_command_line_refuses_to_go_on_with_objects_in_one_line():
    from typer.testing import CliRunner

    from evalkit.cli.app import app

    evalkit.evaluate(Parrot(), "boolq@sample", output="model", progress=False)
    evalkit.evaluate("mock", [Sums()], output="task", progress=False)
    refused = (("model", "the model Polly of this run was given"), ("task", "the task sums of this run was given"))
    for (folder, told), more in itertools.product(refused, ([], ["--batch-size", "2"])):
        done = CliRunner().invoke(app, ["run", "--resume", folder, *more])
        assert done.exit_code == 2
        assert told in done.stderr
        assert done.stderr.count("\n") == 1


def test_settings_that_a_loaded_model_cannot_take_are_refused():
    for settings in ({"dtype": "float16"}, {"quant": "int8"}, {"replicas": 2}, {"model_args": {"seed": 2}}):
        with pytest.raises(evalkit.UserError, match=f"{next(iter(settings))}=: does not apply"):
            evalkit.evaluate(Parrot(), "boolq@sample", progress=False, **settings)
    run = evalkit.evaluate(Parrot(), "boolq@sample", progress=False, model_args={"mc": "generate"})
    assert "acc_generative" in run["boolq"]


def test_task_objects_and_names_mix():
    run = evalkit.evaluate(evalkit.mock(adds), [Sums()], output="sums", progress=False)
    assert run["sums"]["exact"].value == 1.0
    assert run.samples("sums")["exact,none"].tolist() == [1.0] * 10
    mixed = evalkit.evaluate("mock", ["boolq@sample", Sums("more")], limit=3, output="mixed", progress=False)
    assert mixed.tasks == ("boolq", "more")
    assert mixed["more"]["exact"].n == 3
    given = json.loads((mixed.path / "spec.json").read_text("utf-8"))["tasks"]
    assert [entry["given"] for entry in given] == [None, {"type": f"{__name__}.Sums", "fingerprint": None}]


def test_settings_that_do_not_reach_a_task_object_are_said(capsys):
    evalkit.evaluate("mock", [Sums()], num_fewshot=3, output="sums", progress=False)
    assert "sums: the task is an object with settings of its own: num_fewshot (3) is not applied" in (
        capsys.readouterr().err
    )


def test_one_name_for_two_tasks_is_refused():
    with pytest.raises(evalkit.UserError, match="two task objects called sums"):
        evalkit.evaluate("mock", [Sums(), Sums()], progress=False)
    with pytest.raises(evalkit.UserError, match="task boolq is asked for twice, by its name and as an object"):
        evalkit.evaluate("mock", ["boolq@sample", Sums("boolq")], progress=False)


def test_a_backend_object_goes_all_the_way():
    """Run, compare, gate, baseline, report and board of a model that no other file knows."""
    base = evalkit.evaluate(Parrot(), ["boolq@sample"], output="base", progress=False)
    yes = evalkit.mock(lambda _: "yes", name="yes-man")
    other = evalkit.evaluate(yes, ["boolq@sample"], output="new", progress=False)
    (row,) = [row for row in evalkit.compare(base, other).candidates[0].metrics if row.primary]
    assert row.difference.value == pytest.approx(other["boolq"]["acc"].value - base["boolq"]["acc"].value)
    wide = {"default": {"margin": 0.4}}
    assert evalkit.gate(base, base, wide).outcome == "pass"
    assert evalkit.gate(base, "new", {"tasks": {"boolq": {"floor": 0.99}}}).exit_code == 1
    baseline = evalkit.load_baseline(base.save_baseline("base.json"))
    assert evalkit.gate(baseline, base, wide).outcome == "pass"
    assert "yes-man" in evalkit.report([base, other], "both.html").read_text("utf-8")

    from typer.testing import CliRunner

    from evalkit.cli.app import app

    board = "name: own\ntitle: Own\ncolumns:\n- {title: BoolQ, task: boolq, metric: 'acc,none'}\n"
    Path("board.yaml").write_text(board, "utf-8")
    built = CliRunner().invoke(app, ["leaderboard", "build", "base", "new", "--board", "board.yaml", "--out", "site"])
    assert built.exit_code == 0, built.output
    page = Path("site/index.html").read_text("utf-8")
    assert "Polly" in page
    assert "yes-man" in page


# -- the mock of a function -------------------------------------------------------------------------------------------


def test_a_function_that_fails_fails_its_request_alone():
    def moody(request):
        if "octopus" in request.context:
            raise ValueError("no octopus")
        return "yes"

    run = evalkit.evaluate(evalkit.mock(moody), "boolq@sample", progress=False, max_error_rate=1)
    failed = run.samples("boolq").query("status == 'error'")
    assert len(failed) == run.result.tasks[0].n_error > 0
    assert failed["error"].str.contains("ValueError: no octopus").all()


def test_mocks_of_functions_are_models_of_their_own_unless_told_otherwise():
    one, other = evalkit.mock(lambda _: "a"), evalkit.mock(lambda _: "b")
    assert one.info.fingerprint != other.info.fingerprint
    assert evalkit.mock(str, fingerprint="x").info.fingerprint == evalkit.mock(repr, fingerprint="x").info.fingerprint


def test_a_wrong_answer_of_a_function_is_named():
    run = evalkit.evaluate(evalkit.mock(lambda _: 1.5), "triviaqa@sample", limit=1, progress=False, max_error_rate=1)
    assert "gave 1.5 for a Generate, which takes a text" in run.samples("triviaqa")["error"][0]
