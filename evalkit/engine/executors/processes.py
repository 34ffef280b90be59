"""Workers as processes of this machine: `--replicas N` without Ray. GPUs, or processor cores, are divided among them.

Calls and replies travel over a pipe between parent and child, as (number, value).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.engine.executors.cluster import Lost
from evalkit.engine.executors.service import Service
from evalkit.perf.cores import usable_cores

LOOK_S = 1.0
"""Seconds between looks at a worker that says nothing."""
PATIENCE_S = 10.0
"""So long may a worker be stopped by a signal before it counts as lost."""
STOPPED = "it was stopped by a signal and not let go on"

Devices = Callable[[int], dict[str, str]]
"""Environment variables that give a worker its devices."""


class Processes:
    """A `evalkit.engine.executors.cluster.Cluster` of child processes, started afresh (spawn): a copy of a process
    that has used CUDA or threads would not work.
    """

    def __init__(self, size: int, devices: Devices) -> None:
        self.size = size
        self._devices = devices
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[int, tuple[BaseProcess, Connection]] = {}
        self._asked: dict[int, int] = {}
        self._number = 0
        self._inbox: list[tuple[int, Any]] = []
        self._stopped_since: dict[int, tuple[float, float]] = {}
        """Of workers that were found stopped: seconds of it that the driver was there to see, and the last look."""

    def start(self, worker: int) -> None:
        """See `Cluster.start`."""
        self._end(worker)
        here, there = self._context.Pipe()
        process = self._context.Process(
            target=_serve, args=(there, os.getpid()), name=f"evalkit replica {worker}", daemon=True
        )
        with _deaf_to_interrupts():
            process.start()
        there.close()
        self._workers[worker] = (process, here)

    def environment(self, worker: int) -> dict[str, str]:
        """See `Cluster.environment`."""
        return self._devices(worker)

    def pid(self, worker: int) -> int | None:
        """The worker's process, for tests and for those who want to look at it."""
        return self._workers[worker][0].pid if worker in self._workers else None

    def ask(self, worker: int, method: str, *args: Any) -> None:
        """See `Cluster.ask`."""
        self._asked[worker] = self._send(worker, method, args)

    def call(self, worker: int, method: str, *args: Any) -> Any:
        """See `Cluster.call`."""
        number = self._send(worker, method, args)
        while True:
            if not self._speaks(worker):
                return Lost(STOPPED)
            answered, reply = self._receive(worker)
            if answered == number or isinstance(reply, Lost):
                return reply
            self._file(worker, answered, reply)

    def replies(self, timeout: float) -> list[tuple[int, Any]]:
        """See `Cluster.replies`."""
        waiting = {self._workers[worker][1]: worker for worker in self._asked if worker in self._workers}
        lost = [worker for worker in self._asked if worker not in self._workers]
        for worker in lost:
            self._file(worker, self._asked[worker], Lost("the process was never started"))
        for connection in wait(list(waiting), 0 if self._inbox else timeout):
            worker = waiting.pop(connection)  # type: ignore[call-overload]
            self._stopped_since.pop(worker, None)
            self._file(worker, *self._receive(worker))
        for worker in waiting.values():
            if self._has_stopped(worker):
                self._file(worker, self._asked[worker], Lost(STOPPED))
        found, self._inbox = self._inbox, []
        return found

    def close(self) -> None:
        """See `Cluster.close`."""
        for worker in list(self._workers):
            self._end(worker)
        self._asked.clear()

    # -- inside -------------------------------------------------------------------------------------------------

    def _send(self, worker: int, method: str, args: tuple[Any, ...]) -> int:
        self._number += 1
        with suppress(OSError):  # a dead worker shows when its reply is read
            self._workers[worker][1].send((self._number, method, args))
        return self._number

    def _receive(self, worker: int) -> tuple[int, Any]:
        process, connection = self._workers[worker]
        try:
            return connection.recv()
        except (EOFError, OSError):
            process.join(timeout=5)
            return self._asked.get(worker, -1), Lost(_how_it_ended(process))

    def _speaks(self, worker: int) -> bool:
        """Wait until the worker has said something or has ended; False if it is stopped and stays so."""
        connection = self._workers[worker][1]
        with suppress(OSError):
            while not connection.poll(LOOK_S):
                if self._has_stopped(worker):
                    return False
        self._stopped_since.pop(worker, None)
        return True

    def _has_stopped(self, worker: int) -> bool:
        """Whether the process has been stopped (SIGSTOP) for longer than PATIENCE_S, as the driver sees it: a pause of
        all of them together (Ctrl-Z) does not count.
        """
        import psutil

        try:
            state = psutil.Process(self._workers[worker][0].pid).status()
        except psutil.Error:
            return False  # its pipe tells
        if state != psutil.STATUS_STOPPED:
            self._stopped_since.pop(worker, None)
            return False
        now = time.monotonic()
        seconds, looked = self._stopped_since.get(worker, (0.0, now))
        seconds += min(now - looked, 2 * LOOK_S)
        self._stopped_since[worker] = (seconds, now)
        return seconds > PATIENCE_S

    def _file(self, worker: int, number: int, reply: Any) -> None:
        """Keep a reply that was asked for; others belong to questions that were given up."""
        if self._asked.get(worker) == number:
            del self._asked[worker]
            self._inbox.append((worker, reply))

    def _end(self, worker: int) -> None:
        process, connection = self._workers.pop(worker, (None, None))
        self._asked.pop(worker, None)
        if process is None or connection is None:
            return
        connection.close()
        process.kill()  # it holds nothing that must be saved
        process.join()


def _how_it_ended(process: BaseProcess) -> str:
    code = process.exitcode
    if code is None:
        return "it closed its pipe"
    if code < 0:
        with suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return f"it ended with exit code {code}"


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Children started within ignore Ctrl-C, which goes to all processes of a terminal: the driver decides."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _ends_with(driver: int) -> None:
    """Have the system end this process when the driver ends (Linux), also while it is stopped and reads no pipe."""
    if sys.platform != "linux":
        return
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != driver:
        os._exit(0)  # it ended before


PR_SET_PDEATHSIG = 1
"""See prctl(2)."""


def _serve(connection: Connection, driver: int) -> None:
    """A worker's life: answer calls until the driver closes the pipe, or is gone itself."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # the driver decides
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    _ends_with(driver)
    multiprocessing.current_process().daemon = False  # which may have no processes of its own, as vLLM's engine is
    service = Service()
    while True:
        try:
            number, method, args = connection.recv()
            connection.send((number, getattr(service, method)(*args)))
        except (EOFError, OSError):
            os._exit(0)  # the backend's thread may be in the middle of a batch


def divide(size: int, gpus_per_replica: float, device: str) -> Devices:
    """Which devices each of ``size`` workers gets. On GPUs ``gpus_per_replica`` each (0: one each, shared where there
    are fewer), else an equal share of the cores. Raises UserError where the GPUs do not suffice.
    """
    visible = _visible_gpus() if device in ("auto", "cuda") else []
    if gpus_per_replica > 0 and size * gpus_per_replica > len(visible):
        raise UserError(
            f"--replicas {size} with --gpus-per-replica {gpus_per_replica:g} need {size * gpus_per_replica:g} GPUs, "
            f"this machine shows {len(visible)}: ask for fewer, or use --executor ray on a cluster"
        )
    threads = str(max(1, _cores() // size))

    def environment(worker: int) -> dict[str, str]:
        own = {"OMP_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "false"}
        if visible:
            first = int(worker * gpus_per_replica) if gpus_per_replica else worker % len(visible)
            count = max(1, int(gpus_per_replica))
            own["CUDA_VISIBLE_DEVICES"] = ",".join(visible[first : first + count])
        return own

    return environment


def _cores() -> int:
    return usable_cores()


def _visible_gpus() -> list[str]:
    """Names of the GPUs as CUDA_VISIBLE_DEVICES spells them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]
    try:
        import torch
    except ImportError:
        return []
    return [str(number) for number in range(torch.cuda.device_count())]
