"""What fails behind the last answer loses nothing: the rest is written, and a resumed run asks the model no more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.api.running import carry_out
from evalkit.contract.errors import UserError
from evalkit.runner.evaluate import Unwatched
from evalkit.runner.progress import Silent
from evalkit.spec.models import ModelSpec, RunSpec, TaskSpec
from evalkit.store import RunDir, samples


def spec(tmp_path: Path) -> RunSpec:
    return RunSpec(
        model=ModelSpec(name="mock", backend="mock"),
        tasks=(TaskSpec(name="boolq@sample"), TaskSpec(name="triviaqa@sample")),
        output=tmp_path / "out",
    )


def run(asked: RunSpec, resume: bool = False) -> Any:
    return carry_out(asked, Unwatched(Silent()), resume=resume)


def fails(*given: Any, **named: Any) -> Any:
    raise RuntimeError("no such luck")


def test_a_task_whose_samples_cannot_be_written_is_marked_and_the_others_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = samples.write_parquet

    def one_fails(path: Path, *given: Any) -> None:
        if path.name.startswith("boolq"):
            fails()
        write(path, *given)

    with monkeypatch.context() as patched:
        patched.setattr(samples, "write_parquet", one_fails)
        with pytest.raises(UserError) as told:
            run(spec(tmp_path))
    assert "task boolq: RuntimeError: no such luck" in str(told.value)
    assert f"evalkit run --resume {tmp_path / 'out'}" in str(told.value)
    directory = RunDir.open(tmp_path / "out")
    problems = {task.info.name: task.problem for task in directory.result().tasks}
    assert problems == {"boolq": "RuntimeError: no such luck", "triviaqa": None}
    assert len(directory.samples("triviaqa"))
    assert (tmp_path / "out" / "report.html").exists()
    assert json.loads((tmp_path / "out" / "results.json").read_text())["evalkit"]["comparable"] is False

    def asks(*given: Any) -> Any:
        raise AssertionError("the model was asked again")

    monkeypatch.setattr("evalkit.backends.mock.MockBackend.score", asks, raising=False)
    monkeypatch.setattr("evalkit.backends.mock.MockBackend.generate", asks, raising=False)
    finished = run(spec(tmp_path), resume=True)
    assert all(task.problem is None for task in finished.result.tasks)
    assert len(RunDir.open(tmp_path / "out").samples("boolq"))


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("evalkit.task.native.NativeTask.summarize", "task boolq"),
        ("evalkit.runner.evaluate.run_counters", "the counters"),
        ("evalkit.store.performance.write", "the durations"),
        ("evalkit.api.running.write_report", "the report"),
    ],
)
def test_every_later_step_fails_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, what: str
) -> None:
    monkeypatch.setattr(target, fails)
    with pytest.raises(UserError, match=what) as told:
        run(spec(tmp_path))
    assert "\n" not in str(told.value)
    directory = RunDir.open(tmp_path / "out")
    assert len(directory.result().tasks) == 2
    assert len(directory.samples("boolq"))
    monkeypatch.undo()
    assert run(spec(tmp_path), resume=True).result.tasks[0].metrics


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_an_output_that_no_folder_can_be_called(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="give another --output") as told:
        run(spec(tmp_path).model_copy(update={"output": tmp_path / name}))
    assert len(str(told.value)) < 400
    with pytest.raises(UserError, match="no such folder"):
        RunDir.open(tmp_path / name)
