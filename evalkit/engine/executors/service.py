"""What runs in a worker, whatever brought it there: one replica of a backend, asked by short calls.

The backend computes in a thread; `Service.poll` fetches what it has answered. No call lasts longer than POLL_S, apart
from loading, so a worker can always be told to stop. Failures cross as values: an exception of the worker's may be of
a class that the driver does not have.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evalkit.contract import registry
from evalkit.contract.backend import GenerateRow, LoglikelihoodRow, RowResult, TokenBackend
from evalkit.contract.capabilities import Capabilities
from evalkit.contract.errors import UserError
from evalkit.contract.optional import HasWeights, capabilities
from evalkit.contract.types import ModelInfo
from evalkit.perf.memory import Sampler
from evalkit.perf.meter import Meter, Metered
from evalkit.spec.models import EngineSpec, ModelSpec

POLL_S = 1.0
"""Seconds that a poll waits for something to report."""

NO_REPLICAS = (
    "{model}: its backend takes whole requests (a server, a file, a classifier) and has no replicas: "
    "leave --replicas and --executor out"
)

Kind = Literal["score", "generate"]
State = Literal["running", "finished", "memory", "failed"]


@dataclass(frozen=True, slots=True)
class Failed:
    """A row's failure, as its message."""

    reason: str


@dataclass(frozen=True, slots=True)
class Opened:
    """The replica is ready; ``tokens`` are (eot_id, prefix_id)."""

    info: ModelInfo
    tokens: tuple[int, int]
    capabilities: Capabilities


@dataclass(frozen=True, slots=True)
class Refused:
    """A call failed. ``user``: the message is one that a user can act on."""

    reason: str
    user: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """Answers since the last poll as (place in the job's rows, answer), and how the job stands."""

    ticket: int
    answers: tuple[tuple[int, RowResult | Failed], ...]
    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a replica has done since it was loaded. ``meter`` is None where its backend counts nothing; ``memory``, in
    bytes, is of its process and, by torch's count, of its part of the devices.
    """

    meter: Meter | None
    memory: Mapping[str, int]


class _Cancelled(BaseException):
    """Raised in the backend's thread when nobody wants the rest; no Exception, so that nobody takes it for one."""


class Service:
    """One replica. Only its methods are called from outside, one at a time."""

    def __init__(self) -> None:
        self._backend: Any = None
        self._sampler: Sampler | None = None
        self._changed = threading.Condition()
        self._answers: list[tuple[int, RowResult | Failed]] = []
        self._ticket = -1
        self._state: State = "finished"
        self._reason = ""
        self._cancel = False

    def open(self, model: ModelSpec, engine: EngineSpec, environment: Mapping[str, str]) -> Opened | Refused:
        """Load the model. ``environment``: variables that must stand before torch is imported."""
        os.environ.update(environment)
        self._sampler = self._sampler or Sampler().__enter__()  # it watches as long as the process lives
        alone = engine.model_copy(update={"executor": "local", "replicas": 1, "gpus_per_replica": 0})
        try:
            backend = registry.load(registry.BACKENDS, model.backend or "hf")(model, alone)
        except Exception as error:
            return _refused(error)
        if not isinstance(backend, TokenBackend):
            return Refused(NO_REPLICAS.format(model=model.name), user=True)
        self._backend = backend
        self._sampler.loaded()
        return Opened(backend.info, (backend.eot_id, backend.prefix_id), capabilities(backend))

    def pid(self) -> int:
        """The process."""
        return os.getpid()

    def measured(self) -> Measured:
        """What was counted since the model was loaded."""
        memory = dict(self._sampler.counters()["memory"]) if self._sampler else {}
        if isinstance(self._backend, HasWeights):
            memory["weights_bytes"] = self._backend.weight_bytes
        return Measured(self._backend.meter if isinstance(self._backend, Metered) else None, memory)

    def text(self, method: Literal["encode", "decode", "chat"], *args: Any) -> Any:
        """One of the tokenizer's methods; `Refused` where it raises."""
        try:
            return getattr(self._backend, method)(*args)
        except Exception as error:
            return _refused(error)

    def start(self, ticket: int, kind: Kind, rows: Sequence[LoglikelihoodRow] | Sequence[GenerateRow]) -> Progress:
        """Begin to compute; a job at a time."""
        self._ticket, self._state, self._reason, self._cancel = ticket, "running", "", False
        threading.Thread(target=self._work, args=(kind, rows), name="evalkit replica", daemon=True).start()
        return self.poll()

    def poll(self, cancel: bool = False) -> Progress:
        """What came since the last poll, as soon as there is something, at the latest after POLL_S.

        ``cancel``: the rest is not wanted any more; the job ends with the next row that it answers.
        """
        with self._changed:
            self._cancel = self._cancel or cancel
            self._changed.wait_for(lambda: self._answers or self._state != "running", timeout=POLL_S)
            answers, self._answers = tuple(self._answers), []
            return Progress(self._ticket, answers, self._state, self._reason)

    def _work(self, kind: Kind, rows: Sequence[Any]) -> None:
        try:
            (self._backend.score if kind == "score" else self._backend.generate)(rows, self._done)
        except _Cancelled:
            self._end("finished", "")
        except Exception as error:
            self._end("memory" if _out_of_memory(error) else "failed", _text(error))
        else:
            self._end("finished", "")

    def _done(self, place: int, result: RowResult | Exception) -> None:
        with self._changed:
            if self._cancel:
                raise _Cancelled
            self._answers.append((place, Failed(_text(result)) if isinstance(result, Exception) else result))
            self._changed.notify_all()

    def _end(self, state: State, reason: str) -> None:
        with self._changed:
            self._state, self._reason = state, reason
            self._changed.notify_all()


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _refused(error: Exception) -> Refused:
    if isinstance(error, UserError):
        return Refused(str(error), user=True)
    return Refused(f"{type(error).__name__}: {error}", user=False)


def _out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, on any device; torch's own class is known by its message, so that torch need not be."""
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower()
