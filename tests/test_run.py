"""The runner and its parts, on the mock model and bundled items."""

import os
import signal
from contextlib import contextmanager

import pytest

from evalkit.contract.errors import UserError
from evalkit.contract.types import Document, Message
from evalkit.runner import interruption
from evalkit.runner.evaluate import Unwatched, evaluate, execute
from evalkit.runner.interruption import Stop, Stoppable, two_step
from evalkit.runner.progress import Silent
from evalkit.runner.styling import transcript
from evalkit.runner.workload import subset
from evalkit.spec.models import RunSpec
from evalkit.store import RunDir


def spec(output, *tasks: str, **settings) -> RunSpec:
    model = {"name": "mock", "backend": "mock", "args": settings.pop("args", {})}
    names = [{"name": name} for name in tasks]
    return RunSpec.model_validate({"model": model, "tasks": names, "sample": True, "output": output, **settings})


def documents(count: int) -> list[Document]:
    return [Document(index, {}, f"{index:064x}") for index in range(count)]


def test_a_limit_takes_the_first_or_a_share_rounded_up():
    assert [document.id for document in subset(documents(10), 3, "t", None)] == [0, 1, 2]
    assert len(subset(documents(10), 0.11, "t", None)) == 2
    assert len(subset(documents(10), 1, "t", None)) == 1
    assert len(subset(documents(10), 50, "t", None)) == 10
    assert len(subset(documents(10), None, "t", 1)) == 10


def test_a_random_subset_depends_on_seed_and_task_alone_and_keeps_the_order():
    def draw(task: str, seed: int) -> list[int]:
        return [document.id for document in subset(documents(100), 10, task, seed)]

    assert draw("a", 1) == draw("a", 1) == sorted(draw("a", 1))
    assert draw("a", 1) != draw("b", 1)
    assert draw("a", 1) != draw("a", 2)
    assert draw("a", 1) == [1, 19, 29, 31, 34, 68, 71, 74, 78, 81]


def test_a_run_counts_what_it_did(tmp_path):
    result = execute(spec(tmp_path / "run", "boolq", "triviaqa", limit=6))
    assert [(task.info.name, task.n, task.n_total, task.n_ok) for task in result.tasks] == [
        ("boolq", 6, 24, 6),
        ("triviaqa", 6, 24, 6),
    ]
    assert result.tasks[0].data_source.startswith("sample:sha256=")
    assert result.tasks[0].metrics[0].n == 6
    assert result.counters["requests"] == 6 * 2 + 6
    assert result.counters["prompt_tokens"] > 0
    assert set(result.counters["seconds"]) >= {"load", "answer", "score", "total"}
    assert not result.partial
    assert RunDir.open(tmp_path / "run").result() == result


def test_a_tasks_own_limit_and_shots_win(tmp_path):
    asked = spec(tmp_path / "run", "boolq", limit=5)
    asked = asked.model_copy(update={"tasks": (asked.tasks[0].model_copy(update={"limit": 2, "num_fewshot": 1}),)})
    (task,) = execute(asked).tasks
    assert (task.n, task.info.num_fewshot) == (2, 1)


def test_a_chat_template_changes_the_prompts(tmp_path):
    plain = spec(tmp_path / "plain", "boolq", limit=1)
    chat = plain.model_copy(
        update={"output": tmp_path / "chat", "model": plain.model.model_copy(update={"chat_template": True})}
    )
    prompts = []
    for asked in (plain, chat):
        execute(asked)
        prompts.append(RunDir.open(asked.output).samples("boolq")["prompt"][0])
    assert prompts[0] != prompts[1]
    assert "octopus" in prompts[0]
    assert "octopus" in prompts[1]


def test_a_transcript_is_readable_text():
    turns = [Message("system", "Be brief."), Message("user", "Why?")]
    assert transcript(turns, True) == "system: Be brief.\nuser: Why?\nassistant:"
    assert transcript(turns, False) == "system: Be brief.\nuser: Why?"


def test_a_failing_scorer_marks_its_document_and_not_the_run(tmp_path, monkeypatch):
    from evalkit.task.native import NativeTask

    score = NativeTask.score

    def broken(self, document, requests, responses):
        if document.id == 2:
            raise ZeroDivisionError("no letters")
        return score(self, document, requests, responses)

    monkeypatch.setattr(NativeTask, "score", broken)
    done = evaluate(spec(tmp_path / "run", "boolq", limit=4), Unwatched(Silent()))
    (task,) = done.result.tasks
    assert (task.n_ok, task.n_error) == (3, 1)
    assert done.error_rate == 0.25
    errors = RunDir.open(tmp_path / "run").samples("boolq")["error"].tolist()
    assert errors[2] == "scoring failed: ZeroDivisionError: no letters"


def test_an_empty_task_is_refused_before_the_model_loads(tmp_path, monkeypatch):
    from evalkit.task.native import NativeTask

    monkeypatch.setattr(NativeTask, "documents", lambda self, data: [])
    monkeypatch.setattr("evalkit.backends.opening.open_backend", lambda *_: pytest.fail("the model was loaded"))
    with pytest.raises(UserError, match="boolq: the split 'validation' is empty"):
        execute(spec(tmp_path / "run", "boolq"))
    assert not (tmp_path / "run").exists()


class Interrupting:
    """An Observer whose user presses Ctrl-C after some answers."""

    def __init__(self, after: int) -> None:
        self.after = after

    def plan(self, plan) -> None: ...

    def note(self, text: str) -> None: ...

    @contextmanager
    def answering(self):
        stop = Stop()
        watch = self

        class Counting(Silent):
            def advance(self, requests: int, tokens: int = 0) -> None:
                watch.after -= requests
                if watch.after == 0:
                    os.kill(os.getpid(), signal.SIGINT)

        with two_step(stop, "stopping"):
            yield Stoppable(Counting(), stop)


@pytest.fixture
def interruptible():
    """A shell starts what runs in the background with Ctrl-C ignored; these tests need Python's own handler."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_leaves_partial_results_and_the_rest_can_be_resumed(tmp_path, monkeypatch):
    # Each answer takes some milliseconds: long enough to be interrupted between two.
    monkeypatch.setattr(interruption, "QUIET_SECONDS", 0.001)
    asked = spec(tmp_path / "run", "boolq", "triviaqa", args={"delay_s": 0.00002})
    whole = execute(asked.model_copy(update={"output": tmp_path / "whole"}))
    partial = evaluate(asked, Interrupting(after=20))
    assert partial.result.partial
    assert 0 < sum(task.n for task in partial.result.tasks) < 48
    assert all(task.n_error == 0 for task in partial.result.tasks)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    rest = evaluate(asked, Unwatched(Silent()), resume=True)
    assert not rest.result.partial
    assert rest.result.tasks == whole.tasks
    assert rest.result.groups == whole.groups


@pytest.mark.usefixtures("interruptible")
def test_the_second_ctrl_c_stops_at_once():
    stop = Stop()
    with two_step(stop, "stopping"):
        os.kill(os.getpid(), signal.SIGINT)
        assert stop
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_resume_needs_a_run_directory(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        evaluate(spec(tmp_path / "nowhere", "boolq"), Unwatched(Silent()), resume=True)


def test_failed_responses_are_errors_and_are_asked_again(tmp_path):
    script = [{"match": "octopus", "error": "out of ink"}]
    done = evaluate(spec(tmp_path / "run", "boolq", args={"script": script}), Unwatched(Silent()))
    (task,) = done.result.tasks
    assert (task.n_error, task.metrics[0].n) == (1, 23)
    assert done.error_rate == pytest.approx(1 / 24)
    with RunDir.open(tmp_path / "run") as directory:
        assert {response.error for response in directory.journal().failures().values()} == {"out of ink"}
