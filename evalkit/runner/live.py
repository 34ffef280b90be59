"""What a run shows of itself while it works: counts, the numbers so far, and the first items (`evalkit.store.live`).

The answers are seen on their way to the journal; items whose answers are all there are scored by a thread of its own,
which spends at most `SHARE` of the time, so that the numbers may lag behind but the model does not wait. What it scores
is thrown away: the run scores its answers itself when they are all there.
"""

from __future__ import annotations

import threading
import time
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from evalkit.contract.backend import no_op
from evalkit.contract.capabilities import traits
from evalkit.contract.errors import MetricsFailed, UserError
from evalkit.contract.store import Progress, ResponseStore, StopsWork
from evalkit.contract.types import Group, GroupResult, Response, SampleResult, TaskResult
from evalkit.runner.scoring import score_one
from evalkit.runner.workload import Workload
from evalkit.store import live
from evalkit.store.held import begins_of
from evalkit.task.groups import summarize_groups

SHARE = 0.03
"""Of the time, what scoring early may take."""
SECONDS = 1.0
"""Between two states."""
PATIENCE_S = 15.0
"""The longest that numbers wait for the next ones, where making them takes its time."""
MOST = 20_000
"""Items that are scored early; of more, only how many are answered is told."""
SLOW_S = 0.5
"""A task of which one item takes this long to score is scored at the end alone."""

Answered = tuple[int, int, tuple[Response, ...]]
"""Task, document within it, answers to its requests."""


class Watch:
    """A run as it is seen from outside. Everything here is safe to call from any thread, and nothing raises."""

    def __init__(self, run: Path, groups: Sequence[Group]) -> None:
        self._run = run
        self._groups = groups
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._writer: live.Writer | None = None
        self._state = live.begun()
        self._workloads: Sequence[Workload] = ()
        self._starts = array("q")
        self._firsts: list[int] = []
        self._left = array("i")
        self._waiting: dict[str, list[int]] = {}
        self._some: dict[int, list[Response | None]] = {}
        self._ready: deque[Answered] = deque()
        self._done: list[int] = []
        self._seen = self._offset = 0
        self._samples: list[list[SampleResult]] = []
        self._slow: set[int] = set()

    def begin(self, workloads: Sequence[Workload], model: Mapping[str, Any], by_key: bool) -> None:
        """Answers are about to come. ``by_key``: they can be told by their requests' keys."""
        begins = [begins_of(workload.requests) for workload in workloads]
        sizes = array("i", (end - begin for one in begins for begin, end in pairwise(one)))
        with self._lock:
            self._state = replace(self._state, model=model)
            self._workloads = workloads
            self._starts = array("q", accumulate(sizes, initial=0)) if by_key else array("q")
            self._firsts = [0, *accumulate(len(workload.documents) for workload in workloads)]
            self._left = sizes
            self._done = [0] * len(workloads)
            self._samples = [[] for _ in workloads]
            self._slow = {n for n, one in enumerate(workloads) if not traits(one.task).scores_early}
        with suppress(OSError, UserError):
            self._writer = live.Writer(self._run)
            self._write()
            self._thread = threading.Thread(target=self._work, name="evalkit live", daemon=True)
            self._thread.start()

    def rest(self) -> None:
        """All is answered: the run scores its answers itself."""
        with self._lock:
            self._state = replace(self._state, phase="scoring")
            self._ready.clear()
            self._some.clear()

    def end(self, whole: bool) -> None:
        """The run is over. ``whole``: its own files are there; what was shown goes."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self._writer is not None and whole:
            self._writer.end()

    # -- what the engine tells ----------------------------------------------------------------------------------------

    def expect(self, keys: Sequence[str], given: Sequence[Response | None]) -> None:
        """See `evalkit.contract.store.KnowsRequests`; blocks of requests come one after the other."""
        with self._lock:
            if not self._starts:
                return
            first = self._offset
            self._offset += len(keys)
            self._waiting = {}
            for place, (key, response) in enumerate(zip(keys, given, strict=True), first):
                if response is None:
                    self._waiting.setdefault(key, []).append(place)
                else:
                    self._answer(place, response)

    def answered(self, key: str, response: Response) -> None:
        """One answer, new or known before."""
        with self._lock:
            for place in self._waiting.pop(key, ()):
                self._answer(place, response)

    def _answer(self, place: int, response: Response) -> None:
        if place >= self._starts[-1]:
            return
        document = bisect_right(self._starts, place) - 1
        first, behind = self._starts[document], self._starts[document + 1]
        self._left[document] -= 1
        task = bisect_right(self._firsts, document) - 1
        wanted = self._seen < MOST and task not in self._slow
        answers = self._some.setdefault(document, [None] * (behind - first)) if wanted else self._some.get(document)
        if answers is not None:
            answers[place - first] = response
        if self._left[document]:
            return
        self._done[task] += 1
        answers = self._some.pop(document, None)
        if answers is not None and None not in answers:
            self._seen += 1
            self._ready.append((task, document - self._firsts[task], tuple(one for one in answers if one)))

    def begun(self, total: int, reused: int, tokens: int | None) -> None:
        """As `Progress.begin`; blocks and rounds add up."""
        with self._lock:
            one = self._state
            self._state = replace(
                one,
                total=one.total + total,
                reused=one.reused + reused,
                requests=one.requests + reused,
                tokens_total=None if tokens is None else (one.tokens_total or 0) + tokens,
            )

    def advanced(self, requests: int, tokens: int) -> None:
        """As `Progress.advance`."""
        with self._lock:
            one = self._state
            self._state = replace(one, requests=one.requests + requests, tokens=one.tokens + tokens)

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        next_numbers, fresh = 0.0, False
        with suppress(OSError, UserError):
            while not self._ended.wait(SECONDS):
                fresh |= self._score(SECONDS * SHARE)
                now = time.monotonic()
                if fresh and self._state.phase == "answering" and now >= next_numbers:
                    began = time.thread_time()
                    self._summarize()
                    fresh = False
                    took = time.thread_time() - began
                    next_numbers = now + min(max(SECONDS, took / SHARE), max(PATIENCE_S, 10 * took))
                self._write()

    def _score(self, seconds: float) -> bool:
        """Score what is ready, for about so long; whether there was anything."""
        began = time.monotonic()
        rows: dict[int, list[SampleResult]] = {}
        while self._ready and time.monotonic() - began < seconds:
            task, place, answers = self._ready.popleft()
            if task in self._slow:
                continue
            workload = self._workloads[task]
            before = time.monotonic()
            sample = SampleResult(workload.documents[place], workload.requests[place], answers, None)
            sample = score_one(workload.task, sample)
            if time.monotonic() - before > SLOW_S:
                self._slow.add(task)
            self._samples[task].append(sample)
            rows.setdefault(task, []).append(sample)
        for task, scored in rows.items():
            if self._writer is not None:
                self._writer.rows(self._workloads[task].info.name, scored)
        return bool(rows)

    def _summarize(self) -> None:
        found = tuple(
            _numbers(workload, samples)
            for workload, samples in zip(self._workloads, self._samples, strict=True)
            if samples
        )
        groups: tuple[GroupResult, ...] = ()
        with suppress(Exception):
            groups = summarize_groups(self._groups, found)
        with self._lock:
            scored = sum(map(len, self._samples))
            self._state = replace(self._state, tasks=found, groups=groups, scored=scored)

    def _write(self) -> None:
        with self._lock:
            parts = tuple(
                live.Part(workload.info.name, len(workload.documents), done)
                for workload, done in zip(self._workloads, self._done, strict=True)
            )
            state = self._state = replace(self._state, parts=parts, updated=time.time())
        if self._writer is not None:
            self._writer.state(state)


def _numbers(workload: Workload, samples: Sequence[SampleResult]) -> TaskResult:
    """A task's numbers over part of its items; none where they cannot be made of a part."""
    statuses = [sample.status for sample in samples]
    try:
        metrics = workload.task.summarize(samples)
    except MetricsFailed as error:
        metrics = error.found
    except Exception:
        metrics = ()
    return TaskResult(
        info=replace(workload.info, config={}),
        metrics=metrics,
        n=len(samples),
        n_total=workload.n_total,
        n_ok=statuses.count("ok"),
        n_unscored=statuses.count("unscored"),
        n_error=statuses.count("error"),
    )


class WatchedBook:
    """A `ResponseStore` whose answers a `Watch` sees."""

    def __init__(self, inner: ResponseStore, watch: Watch) -> None:
        self._inner = inner
        self.expect = watch.expect
        self._watch = watch

    def get(self, keys: Iterable[str]) -> Mapping[str, Response]:
        """What is known; it counts as answered."""
        found = self._inner.get(keys)
        for key, response in found.items():
            self._watch.answered(key, response)
        return found

    def put(self, key: str, response: Response) -> None:
        """Kept first, then seen."""
        self._inner.put(key, response)
        self._watch.answered(key, response)


class WatchedProgress:
    """A `Progress` that a `Watch` sees."""

    def __init__(self, inner: Progress, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch

    def begin(self, total: int, reused: int, tokens: int | None) -> None:
        self._watch.begun(total, reused, tokens)
        self._inner.begin(total, reused, tokens)

    def advance(self, requests: int, tokens: int = 0) -> None:
        self._watch.advanced(requests, tokens)
        self._inner.advance(requests, tokens)

    def by_passes(self) -> Callable[[], None]:
        """See `evalkit.contract.store.StopsWork`."""
        return self._inner.by_passes() if isinstance(self._inner, StopsWork) else no_op

    def end(self) -> None:
        self._inner.end()


@contextmanager
def watched(run: Path, groups: Sequence[Group]) -> Iterator[Watch]:
    """A `Watch` over the block; what it shows is taken away where the block ends, and left where it fails."""
    watch = Watch(run, groups)
    whole = False
    try:
        yield watch
        whole = True
    finally:
        watch.end(whole)
