"""Replicas on this machine and on Ray: the same numbers as one model, whatever becomes of the workers."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from evalkit.backends.opening import open_backend, type_of
from evalkit.contract.backend import LoglikelihoodResult
from evalkit.contract.errors import UserError
from evalkit.contract.types import Generate, Score
from evalkit.engine import answer
from evalkit.engine.executors import Replicated, open_replicas
from evalkit.engine.executors.processes import divide
from evalkit.spec.models import EngineSpec, ModelSpec

pytestmark = pytest.mark.slow

has_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
EXECUTORS = ["local", pytest.param("ray", marks=[pytest.mark.slow, has_ray])]


def mock(**args: object) -> ModelSpec:
    return ModelSpec(name="mock", backend="mock", args=args)


def requests(count: int = 120) -> list:
    shots = "".join(f"Question {n}: how much is {n} and {n}?\nAnswer: {n + n}\n\n" for n in range(4))
    texts = [f"{shots}Question {n}: how much is {n} and one?\nAnswer:" for n in range(count)]
    return [Score(text, f" {n % 7}") for n, text in enumerate(texts)] + [
        Generate(text, ("\n",), 16) for text in texts[: count // 4]
    ]


class Book:
    """An response store that counts, and may call back after some answers."""

    def __init__(self, after: int = -1, call=None) -> None:
        self.put_keys: list[str] = []
        self._after, self._call = after, call
        self.threads: set[int] = set()

    def get(self, keys) -> dict:
        return {}

    def put(self, key, response) -> None:
        self.put_keys.append(key)
        self.threads.add(threading.get_ident())
        if len(self.put_keys) == self._after:
            self._call()


def replicas(model: ModelSpec, executor: str, count: int) -> Replicated:
    backend = open_replicas(model, EngineSpec(executor=executor, replicas=count), type_of(model.backend or "hf"))
    deadline = time.monotonic() + 120
    while backend.fleet.ready < count and time.monotonic() < deadline:
        backend.fleet.wait()  # for all of them, so that each has a part in the work
    return backend


@pytest.mark.parametrize("executor", EXECUTORS)
def test_three_workers_one_killed_in_the_middle(executor):
    asked = requests()
    alone = open_backend(mock(), EngineSpec())
    expected = answer(alone, asked, None, EngineSpec())
    backend = replicas(mock(delay_s=0.0002), executor, 3)
    try:
        victim = backend.fleet.pid(1)
        book = Book(20, lambda: os.kill(victim, signal.SIGKILL))
        responses = answer(backend, asked, book, EngineSpec())
        assert backend.fleet.losses == 1
        assert responses == expected
        assert len(book.put_keys) == len(set(book.put_keys)) == len(asked)
        assert book.threads == {threading.get_ident()}  # the journal has one writer
        assert backend.info.fingerprint == alone.info.fingerprint
        assert backend.fleet.pid(1) != victim  # it was started again
    finally:
        backend.close()


def test_a_worker_without_memory_gets_halves():
    backend = replicas(mock(refuse_batch_above=7), "local", 2)
    try:
        responses = answer(backend, requests(60), None, EngineSpec())
        assert {response.status for response in responses} == {"ok"}
    finally:
        backend.close()


def test_errors_of_rows_come_back_as_from_one_model():
    script = [{"match": "Question 3:.*\nAnswer:$", "error": "the model refuses"}]
    expected = answer(open_backend(mock(script=script), EngineSpec()), requests(20), None, EngineSpec())
    backend = replicas(mock(script=script), "local", 2)
    try:
        assert answer(backend, requests(20), None, EngineSpec()) == expected
        assert "the model refuses" in {response.error for response in expected}
    finally:
        backend.close()


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("count", [1, 2])
def test_work_goes_on_after_abandoned_jobs(executor, count):
    backend = replicas(mock(delay_s=0.0002), executor, count)
    alone = open_backend(mock(), EngineSpec())
    expected = answer(alone, requests(20), None, EngineSpec())

    class Stop(BaseException):
        pass

    def stop() -> None:
        raise Stop

    try:
        for after in (1, 2, 5, 20):
            with pytest.raises(Stop):
                answer(backend, requests(), Book(after, stop), EngineSpec())
            assert backend.encode(["as before"]) == alone.encode(["as before"])
            assert answer(backend, requests(20), None, EngineSpec()) == expected
        assert backend.fleet.losses == 0
        parts = backend.fleet.measured()
        assert sorted(parts) == list(range(count))
    finally:
        backend.close()


def test_a_model_that_does_not_load_is_one_line(tmp_path):
    with pytest.raises(UserError, match="unknown argument 'no'"):
        open_backend(mock(no=1), EngineSpec(replicas=2))
    outputs = tmp_path / "outputs.jsonl"
    outputs.write_text('{"doc_id": 0, "text": "yes"}\n')
    with pytest.raises(UserError, match="has no replicas"):
        open_backend(ModelSpec(name=f"predictions:{outputs}", backend="predictions"), EngineSpec(replicas=2))


def test_devices_are_divided(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    assert [divide(2, 2, "auto")(n)["CUDA_VISIBLE_DEVICES"] for n in range(2)] == ["0,1", "2,3"]
    assert [divide(4, 0.5, "cuda")(n)["CUDA_VISIBLE_DEVICES"] for n in range(4)] == ["0", "0", "1", "1"]
    assert "CUDA_VISIBLE_DEVICES" not in divide(2, 0, "cpu")(0)
    with pytest.raises(UserError, match="need 8 GPUs, this machine shows 4"):
        divide(8, 1, "auto")


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.parametrize("executor", EXECUTORS)
def test_the_real_model_as_two(executor, smollm2_folder):
    """Log-likelihoods within 1e-4 of one process's, the same decisions."""
    model = ModelSpec(name="smollm2-135m", device="cpu")
    asked = [request for request in requests(16) if isinstance(request, Score)]
    alone = open_backend(model, EngineSpec())
    expected = answer(alone, asked, None, EngineSpec())
    backend = open_replicas(
        model.model_copy(update={"backend": "hf"}), EngineSpec(executor=executor, replicas=2), type_of("hf")
    )
    try:
        assert backend.encode(["Hello", ""]) == alone.encode(["Hello", ""])
        assert (backend.eot_id, backend.prefix_id) == (alone.eot_id, alone.prefix_id)
        for got, want in zip(answer(backend, asked, None, EngineSpec()), expected, strict=True):
            assert got.loglikelihood == pytest.approx(want.loglikelihood, abs=1e-4)
            assert got.is_greedy == want.is_greedy
    finally:
        backend.close()


def test_answers_of_a_backend_are_what_the_fleet_reports():
    backend = replicas(mock(), "local", 2)
    try:
        from evalkit.engine.encode import encode

        rows = [job.scores[0] for job in encode(backend, requests(8)[:8], "truncate")]
        found: dict[int, object] = {}
        backend.score(rows, found.__setitem__)
        assert sorted(found) == list(range(8))
        assert all(isinstance(result, LoglikelihoodResult) for result in found.values())
    finally:
        backend.close()


@pytest.mark.parametrize("when", ["before", "during"])
def test_a_replica_that_is_stopped_is_given_up(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """Without that the driver waits for its meter, or for its rows, for ever."""
    monkeypatch.setattr("evalkit.engine.executors.processes.PATIENCE_S", 1.0)
    monkeypatch.setattr("evalkit.engine.executors.processes.LOOK_S", 0.2)
    asked = requests(40)
    backend = replicas(mock(delay_s=0.001), "local", 2)
    try:
        frozen = backend.fleet.pid(1)
        assert frozen is not None
        stop = lambda: os.kill(frozen, signal.SIGSTOP)  # noqa: E731
        found = answer(backend, asked, Book(5, stop if when == "during" else lambda: None), EngineSpec(), None)
        assert all(one.status == "ok" for one in found)
        if when == "before":
            stop()
        backend.fleet.measured()
    finally:
        backend.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the system ends children with their parent on Linux only")
@pytest.mark.parametrize("when", ["loaded", "starting"])
def test_a_stopped_replica_ends_with_its_driver(tmp_path: Path, when: str) -> None:
    """SIGKILL of the driver leaves no process behind, not even one that is stopped and reads no pipe.

    A replica asks the system for this as soon as it runs code of evalkit's. One that is stopped before, in the second
    that Python takes to start, ends when it is let go on.
    """
    script = tmp_path / "drive.py"
    script.write_text(
        "import os, signal, sys, time\n"
        "from evalkit.engine.executors.processes import Processes\n"
        "if __name__ == '__main__':\n"
        "    cluster = Processes(2, lambda worker: {})\n"
        "    for worker in range(2):\n"
        "        cluster.start(worker)\n"
        "    if sys.argv[1] == 'loaded':\n"
        "        assert cluster.call(0, 'pid') == cluster.pid(0)\n"
        "    os.kill(cluster.pid(0), signal.SIGSTOP)\n"
        "    print(cluster.pid(0), cluster.pid(1), flush=True)\n"
        "    time.sleep(600)\n"
    )
    driver = subprocess.Popen([sys.executable, str(script), when], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    pids = [int(pid) for pid in driver.stdout.readline().split()]
    replicas = [psutil.Process(pid) for pid in pids]
    assert len(replicas) == 2
    driver.kill()
    driver.wait()
    if when == "starting":
        replicas[0].resume()
    deadline = time.monotonic() + 30
    while left := [one for one in replicas if _lives(one)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="Ray's own processes end with the driver on Linux")
def test_a_ray_session_ends_with_its_driver(tmp_path: Path) -> None:
    """SIGKILL of the driver ends the session's processes, a stopped actor too."""
    pytest.importorskip("ray")
    script = tmp_path / "drive.py"
    script.write_text(
        "import os, signal, time\n"
        "from evalkit.engine.executors.ray_cluster import RayCluster\n"
        "if __name__ == '__main__':\n"
        "    cluster = RayCluster(1)\n"
        "    cluster.start(0)\n"
        "    os.kill(cluster.pid(0), signal.SIGSTOP)\n"
        "    time.sleep(2.5)  # the watch looks once a second\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(600)\n"
    )
    driver = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    driver.stdout.readline()
    session = psutil.Process(driver.pid).children(recursive=True)
    session = [one for one in session if not one.name().endswith("Agent")]  # they look for themselves, once a minute
    assert {psutil.STATUS_STOPPED} <= {one.status() for one in session}
    driver.kill()
    driver.wait()
    deadline = time.monotonic() + 30
    while left := [one for one in session if _lives(one)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def _lives(process: psutil.Process) -> bool:
    """Whether it has not ended; a zombie has, and nobody has asked for its exit code yet."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
