"""Runtime registration, and the old import paths of plug-ins."""

import importlib
import warnings

import pytest

import evalkit
from evalkit.contract import registry


@pytest.fixture(autouse=True)
def _nothing_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = {group: set(registry.names(group)) for group in GROUPS}
    yield
    for group in GROUPS:
        for name in set(registry.names(group)) - before[group]:
            registry.unregister(group, name)


GROUPS = (registry.TASKS, registry.TASK_OBJECTS, registry.BACKENDS, registry.METRICS)


def load(model, engine):
    return evalkit.mock(lambda request: "yes", name=model.name)


def another(model, engine):
    return evalkit.mock(lambda request: "no")


def test_a_registered_backend_is_a_models_name_for_python_and_the_command_line():
    assert evalkit.register_backend("agrees", load) is load
    run = evalkit.evaluate("agrees", "boolq@sample", progress=False)
    assert run.result.spec["model"]["given"] is None
    from typer.testing import CliRunner

    from evalkit.cli.app import app

    line = ["run", "--model", "x", "--backend", "agrees", "--tasks", "boolq@sample", "--output", "cli", "--quiet"]
    assert CliRunner().invoke(app, line).exit_code == 0
    assert evalkit.load_run("cli")["boolq"]["acc"].value == run["boolq"]["acc"].value


def test_a_name_registered_twice_names_both_places():
    evalkit.register_backend("agrees", load)
    evalkit.register_backend("agrees", load)  # the same definition again, as a cell that is run twice
    first, second = load.__code__.co_firstlineno, another.__code__.co_firstlineno
    with pytest.raises(evalkit.UserError) as caught:
        evalkit.register_backend("agrees", another)
    assert f"{__file__}:{first} and at {__file__}:{second}" in str(caught.value)
    evalkit.register_backend("agrees", another, replace=True)
    assert registry.load(registry.BACKENDS, "agrees") is another


def test_a_packages_name_cannot_be_taken():
    with pytest.raises(evalkit.UserError, match=r"backend 'hf' is there already: evalkit\.backends\.hf:\w+ \(from"):
        evalkit.register_backend("hf", load, replace=True)


@pytest.mark.parametrize("name", ["", "a,b", "a@b", "a*", 3])
def test_names_that_the_command_line_could_not_read_are_refused(name):
    with pytest.raises(evalkit.UserError):
        evalkit.register_backend(name, load)


def test_workers_do_not_find_what_this_process_registered():
    evalkit.register_backend("agrees", load)
    with pytest.raises(evalkit.UserError, match=r"registered in this process .*test_registering"):
        evalkit.evaluate("agrees", "boolq@sample", replicas=2, progress=False)


def test_a_folder_of_tasks_is_registered(tmp_path):
    folder = tmp_path / "mine" / "colours"
    folder.mkdir(parents=True)
    (folder / "task.yaml").write_text(
        "name: colours\nversion: '1'\ndataset: {id: a/b, splits: {eval: test}}\nkind: generate\n"
        "prompt: 'The colour of {{ thing }} is'\ntarget: colour\ngeneration: {until: [\"\\n\"], max_tokens: 4}\n"
        "metrics: [{metric: exact_match}]\nbaseline: {random: 0.0}\nsample: sample.jsonl\n",
        "utf-8",
    )
    (folder / "sample.jsonl").write_text('{"thing": "snow", "colour": "white", "_split": "test"}\n', "utf-8")
    evalkit.register_task("mine", tmp_path / "mine")
    run = evalkit.evaluate(evalkit.mock(lambda request: "white"), "colours@sample", progress=False)
    assert run["colours"].primary.value == 1.0
    assert evalkit.tasks("colours")["name"].tolist() == ["colours"]


def test_what_makes_no_task_is_told_with_its_place():
    evalkit.register_task("broken", lambda: 3)
    with pytest.raises(evalkit.UserError, match=r"task broken \(.*test_registering\.py:\d+\): a int is no task"):
        evalkit.evaluate("mock", "broken", progress=False)
    evalkit.register_task("fails", lambda shots: 3)
    with pytest.raises(evalkit.UserError, match=r"cannot be made: .*missing 1 required positional argument: 'shots'"):
        evalkit.evaluate("mock", "fails", progress=False)


def test_a_misspelt_registered_task_is_suggested():
    evalkit.register_task("ponderous", lambda: 3)
    with pytest.raises(evalkit.UserError, match="did you mean ponderous"):
        evalkit.evaluate("mock", "ponderus", progress=False)


@pytest.mark.parametrize(
    ("module", "name", "now"),
    [
        ("evalkit.types", "Response", "evalkit.contract.types"),
        ("evalkit.errors", "UserError", "evalkit.contract.errors"),
        ("evalkit.backends.base", "TextBackend", "evalkit.contract.backend"),
        ("evalkit.backends.base", "ScoreRow", "evalkit.contract.backend"),
        ("evalkit.spec", "ModelSpec", "evalkit.spec.models"),
    ],
)
def test_old_places_work_and_name_the_new_one(module, name, now):
    namespace = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exec(compile(f"from {module} import {name}", "plugin.py", "exec"), namespace)
    told = [one for one in caught if one.category is DeprecationWarning]
    assert told
    assert all(now in str(one.message) for one in told)
    assert told[-1].filename == "plugin.py"
    new_name = {"ScoreRow": "LoglikelihoodRow"}.get(name, name)
    assert namespace[name] is getattr(importlib.import_module(now), new_name)
    with pytest.raises(ImportError):
        exec(f"from {module} import NoSuchName")


def test_old_places_do_not_warn_evalkit_itself():
    code = "import evalkit.cli.app, evalkit.api.evaluation, evalkit.backends.mock"
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        exec(code)
