"""The driver's side of the workers: who is loading, idle or busy, and getting a list of rows computed by them.

Workers may die, be slow, come late or never: the work goes on with those that are there, and a worker that died is
started again, until it has died MAX_DEATHS times without having answered anything in between.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal

from evalkit.contract.backend import GenerateRow, LoglikelihoodRow, OnResult, no_op
from evalkit.contract.errors import UserError
from evalkit.engine.executors.cluster import Cluster, Lost
from evalkit.engine.executors.scheduler import Scheduler
from evalkit.engine.executors.service import Failed, Kind, Measured, Opened, Progress, Refused
from evalkit.engine.units import Unit
from evalkit.spec.models import EngineSpec, ModelSpec

log = logging.getLogger("evalkit.executors")

MAX_DEATHS = 3
TICK_S = 1.0
"""Seconds between looks at nothing, so that Ctrl-C and a stop are noticed."""

Standing = Literal["loading", "idle", "busy", "gone"]


class Fleet:
    """``cluster``'s workers, loading ``model`` from the start. Raises UserError where the model does not load."""

    def __init__(self, cluster: Cluster, model: ModelSpec, engine: EngineSpec) -> None:
        self._cluster = cluster
        self._spec = (model, engine)
        self._standing: dict[int, Standing] = {}
        self._deaths = [0] * cluster.size
        self._jobs: dict[int, tuple[Scheduler, int, Unit]] = {}
        """What each busy worker computes: for whom, under which ticket, and the unit."""
        self._ticket = 0
        self._waits: set[int] = set()
        """Workers that were asked something and whose reply has not been taken up."""
        self._said: deque[tuple[int, Any]] = deque()
        """Replies that were not taken up yet: whoever takes one up may raise."""
        self.losses = 0
        """Workers lost so far."""
        self.opened: Opened | None = None
        try:
            for worker in range(cluster.size):
                self._load(worker)
            while self.opened is None:
                self._attend(None, _nobody)
        except BaseException:
            cluster.close()
            raise

    @property
    def size(self) -> int:
        """Workers asked for."""
        return self._cluster.size

    def pid(self, worker: int) -> int | None:
        """The process of a worker, on its own machine; None where there is none now."""
        return self._cluster.pid(worker)

    @property
    def ready(self) -> int:
        """Workers that have loaded."""
        return len(self._in("idle")) + len(self._in("busy"))

    def wait(self) -> None:
        """Wait for the next worker to load, at most TICK_S; nobody needs to: work begins with the first."""
        self._attend(None, _nobody)

    def compute(
        self,
        kind: Kind,
        rows: Sequence[LoglikelihoodRow] | Sequence[GenerateRow],
        units: Sequence[Unit],
        done: OnResult,
        after_pass: Callable[[], None] = no_op,
    ) -> None:
        """Have every row of ``units`` answered through ``done``; returns when all are. ``after_pass`` is called when
        what the workers had to say has been passed on. Raises UserError if no worker is left.
        """
        scheduler = Scheduler(units)
        self._take_up_abandoned()
        while not scheduler.done:
            for worker in self._in("idle"):
                if (unit := scheduler.take(worker)) is not None:
                    self._start(worker, kind, rows, unit, scheduler)
            self._attend(scheduler, done)
            after_pass()

    def call(self, method: str, *args: Any) -> Any:
        """A tokenizer's method on a replica that has loaded. Raises UserError as the method does."""
        while workers := [*self._in("idle"), *self._in("busy")]:
            reply = self._cluster.call(workers[0], "text", method, *args)
            if isinstance(reply, Lost):
                self._on_lost(workers[0], reply, _nobody)
            elif isinstance(reply, Refused):
                raise UserError(reply.reason) if reply.user else RuntimeError(reply.reason)
            else:
                return reply
        raise self._all_gone("none is loaded")

    def measured(self) -> dict[int, Measured]:
        """What every replica that has loaded counted, by its number; what a lost one had counted is lost with it."""
        found = {worker: self._cluster.call(worker, "measured") for worker in [*self._in("idle"), *self._in("busy")]}
        return {worker: one for worker, one in sorted(found.items()) if isinstance(one, Measured)}

    def close(self) -> None:
        """End all workers."""
        self._cluster.close()

    # -- inside -------------------------------------------------------------------------------------------------

    def _in(self, standing: Standing) -> list[int]:
        return [worker for worker, now in self._standing.items() if now == standing]

    def _load(self, worker: int) -> None:
        self._said = deque(said for said in self._said if said[0] != worker)  # by the one before
        self._cluster.start(worker)
        self._ask(worker, "open", *self._spec, self._cluster.environment(worker))
        self._standing[worker] = "loading"

    def _start(self, worker: int, kind: Kind, rows: Sequence[Any], unit: Unit, scheduler: Scheduler) -> None:
        self._ticket += 1
        self._jobs[worker] = (scheduler, self._ticket, unit)
        self._standing[worker] = "busy"
        self._ask(worker, "start", self._ticket, kind, [rows[row] for row in unit.rows])

    def _ask(self, worker: int, method: str, *args: Any) -> None:
        self._waits.add(worker)
        self._cluster.ask(worker, method, *args)

    def _take_up_abandoned(self) -> None:
        """Ask workers again whose last reply was lost on the way: a job that ended in an exception left
        them busy with nobody to ask them on.
        """
        for worker in self._in("busy"):
            if worker not in self._waits:
                self._ask(worker, "poll", True)

    def _attend(self, scheduler: Scheduler | None, done: OnResult) -> None:
        """Take what the workers have to say, and tell them how to go on."""
        if len(self._in("gone")) == self.size:
            raise self._all_gone("each was started again and died again")
        self._said.extend(self._cluster.replies(0 if self._said else TICK_S))
        while self._said:
            worker, reply = self._said.popleft()
            self._waits.discard(worker)
            if isinstance(reply, Lost):
                self._on_lost(worker, reply, done)
            elif isinstance(reply, Refused):
                raise UserError(reply.reason) if reply.user else RuntimeError(f"a replica failed: {reply.reason}")
            elif isinstance(reply, Opened):
                self._on_opened(worker, reply)
            elif isinstance(reply, Progress):
                self._on_progress(worker, reply, scheduler, done)

    def _on_opened(self, worker: int, opened: Opened) -> None:
        if self.opened is None:
            self.opened = opened
        elif opened.info.fingerprint != self.opened.info.fingerprint:
            raise UserError(
                f"replica {worker} loaded another model than the first one (fingerprint "
                f"{opened.info.fingerprint[:12]}, not {self.opened.info.fingerprint[:12]}): "
                "give all machines the same files and --revision"
            )
        self._standing[worker] = "idle"

    def _on_progress(self, worker: int, progress: Progress, scheduler: Scheduler | None, done: OnResult) -> None:
        owner, ticket, unit = self._jobs.get(worker, (None, -1, None))
        current = owner is not None and owner is scheduler and ticket == progress.ticket
        if current and owner is not None and unit is not None:
            for place, result in progress.answers:
                self._deaths[worker] = 0
                row = unit.rows[place]
                if owner.answer(row):
                    done(row, RuntimeError(result.reason) if isinstance(result, Failed) else result)
        if progress.state == "running":
            self._ask(worker, "poll", not current or (owner is not None and owner.obsolete(worker)))
            return
        self._standing[worker] = "idle"
        self._jobs.pop(worker, None)
        if current and owner is not None:
            _settle(owner, worker, progress, done)

    def _on_lost(self, worker: int, lost: Lost, done: OnResult) -> None:
        self.losses += 1
        self._deaths[worker] += 1
        owner, _, unit = self._jobs.pop(worker, (None, -1, None))
        again = self._deaths[worker] < MAX_DEATHS
        log.warning(
            "replica %d was lost (%s)%s; %s",
            worker,
            lost.reason,
            f" with {len(unit.rows)} rows, which go to another" if unit else "",
            "starting it again" if again else "it died too often and stays out",
        )
        self._last_words = lost.reason
        if again:
            self._load(worker)
        else:
            self._standing[worker] = "gone"
        if owner is not None:
            _fail(owner.lose(worker), f"its replica was lost each time ({lost.reason})", done)

    _last_words = ""

    def _all_gone(self, why: str) -> UserError:
        return UserError(
            f"all {self.size} replicas were lost ({self._last_words or why}): what was answered is in the journal; "
            "look for what ends them (memory?), then run the same command again"
        )


def _settle(scheduler: Scheduler, worker: int, progress: Progress, done: OnResult) -> None:
    """A job ended: by itself, by running out of memory, or by failing as a whole."""
    give_up: Callable[[object], tuple[int, ...]]
    if progress.state == "memory":
        give_up, reason = scheduler.halve, progress.reason
    elif progress.state == "failed":
        give_up, reason = scheduler.lose, progress.reason
    else:
        give_up, reason = scheduler.finish, "the backend gave no answer"
    _fail(give_up(worker), reason, done)


def _fail(rows: Sequence[int], reason: str, done: OnResult) -> None:
    for row in rows:
        done(row, RuntimeError(reason))


def _nobody(index: int, result: object) -> None:
    """Nobody waits for answers."""
