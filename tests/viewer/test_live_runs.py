"""What a run shows of itself while it works, and that the run is none the worse for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from served import served

import evalkit
from evalkit.contract.types import Request, Response
from evalkit.store import RunDir, live
from evalkit.store.rundir import RESULTS


class Held:
    """A model that answers until it is told to wait."""

    def __init__(self, free: int) -> None:
        self.free, self.asked = free, 0
        self.go = threading.Event()

    def __call__(self, request: Request) -> Response:
        self.asked += 1
        if self.asked > self.free:
            assert self.go.wait(60)
        return Response(loglikelihood=-1.0 - self.asked % 3)


def until(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("did not come true")


@pytest.fixture
def at_work(tmp_path: Path) -> tuple[Held, threading.Thread, Path]:
    model, path = Held(free=25), tmp_path / "one"

    def work() -> None:
        evalkit.evaluate(evalkit.mock(model), ["boolq@sample", "mmlu_anatomy@sample"], output=path, progress=False)

    thread = threading.Thread(target=work)
    thread.start()
    return model, thread, path


def test_a_run_is_seen_while_it_works_and_is_itself_afterwards(
    at_work: tuple[Held, threading.Thread, Path], tmp_path: Path
) -> None:
    model, thread, path = at_work
    try:
        until(lambda: (state := live.read(path)) is not None and state.scored == 12)
        state = live.read(path)
        assert state is not None
        assert state.alive
        assert state.phase == "answering"
        assert state.requests == 25
        assert [(part.name, part.done) for part in state.parts] == [("boolq", 12), ("mmlu_anatomy", 0)]
        metric = state.tasks[0].metrics[0]
        assert metric.interval is not None
        assert metric.n == 12
        rows, offset = live.read_rows(path, "boolq")
        assert len(rows) == 12
        assert live.read_rows(path, "boolq", offset) == ([], offset)
        with served(tmp_path) as client:
            listed = client.page("/")
            assert "running" in listed
            assert "12 of " in listed
            page = client.page("/run", ("id", "one"))
            assert "Scores so far" in page
            assert "25 of " in page
            one = (("run", "one"), ("task", "boolq"))
            assert len(client.json("/items", *one)["codes"]) == 12
            assert client.json("/items", *one, ("chunk", "0"))["items"][0]["p"].startswith("The")
    finally:
        model.go.set()
        thread.join(60)
    run = RunDir.open(path)
    assert not (path / live.FOLDER).exists()
    assert run.result().tasks[0].metrics[0].n == run.result().tasks[0].n
    whole = run.samples("boolq")
    assert [row["doc_hash"] for row in rows] == list(whole["doc_hash"][:12])
    assert [row["metrics"]["acc,none"] for row in rows] == [one["acc,none"] for one in whole["metrics"][:12]]


def test_a_run_that_died_is_shown_as_stopped_and_resumes(tmp_path: Path) -> None:
    def fails(request: Request) -> str:
        raise KeyboardInterrupt

    model = evalkit.mock(fails, fingerprint="same")
    with pytest.raises(KeyboardInterrupt):
        evalkit.evaluate(model, ["boolq@sample"], output=tmp_path / "one", progress=False)
    state = live.read(tmp_path / "one")
    assert state is not None
    assert state.requests == 0
    file = tmp_path / "one" / live.FOLDER / live.STATE
    file.write_text(file.read_text().replace(f'"pid": {state.pid}', '"pid": 4194305'))
    with served(tmp_path) as client:
        page = client.page("/run", ("id", "one"))
    assert "the process that made this run is gone" in page
    again = evalkit.mock(lambda request: "yes", fingerprint="same")
    assert evalkit.evaluate(again, ["boolq@sample"], output=tmp_path / "one", progress=False)["boolq"]
    assert not (tmp_path / "one" / live.FOLDER).exists()


def test_a_folder_that_takes_nothing_costs_the_run_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: live.Writer, state: live.State) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(live.Writer, "state", full)
    evalkit.evaluate(evalkit.mock(lambda request: "yes"), ["boolq@sample"], output=tmp_path / "one", progress=False)
    assert (tmp_path / "one" / RESULTS).is_file()


def test_half_a_line_and_strange_states_are_no_rows(tmp_path: Path) -> None:
    folder = tmp_path / live.FOLDER
    folder.mkdir()
    for text in ("", "[]", '{"phase": "answering"}', "\udce4".encode("utf-8", "surrogateescape").decode("latin-1")):
        (folder / live.STATE).write_text(text)
        assert live.read(tmp_path) is None
    live.rows_path(tmp_path, "t").write_text('{"doc_hash": "a"}\nnonsense\n{"doc_hash": 3}\n{"doc_hash": "b"')
    rows, offset = live.read_rows(tmp_path, "t")
    assert rows == [{"doc_hash": "a"}]
    assert live.read_rows(tmp_path, "t", offset) == ([], offset)
    assert live.rows_path(tmp_path, "../../x").parent == folder
