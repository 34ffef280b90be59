"""The engine: every request of a run, answered once.

It sees all requests of all tasks together, drops duplicates, takes what the response store has, and hands the rest to
the backend, which walks their common prefix tree (`evalkit.engine.plan`). It knows nothing of tasks or metrics.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, cast

from evalkit.contract.backend import (
    Backend,
    GenerateResult,
    LoglikelihoodResult,
    LoglikelihoodRow,
    OnResult,
    RowResult,
    TextBackend,
    TokenBackend,
    no_op,
)
from evalkit.contract.optional import Paid, ReproducesBatches, StopsBetweenPasses, capabilities
from evalkit.contract.store import KnowsRequests, Progress, ResponseStore, ShowsCost, StopsWork
from evalkit.contract.types import Request, Response
from evalkit.engine.encode import Job, encode
from evalkit.engine.plausible import Places, impossible, possible
from evalkit.spec.models import EngineSpec
from evalkit.store import held
from evalkit.store.identity import text_key

__all__ = ["AT_ONCE", "answer"]

AT_ONCE = 200_000
"""Requests that are planned together: more than the usual benchmarks have in one run, a few hundred megabytes."""


def answer(
    backend: Backend,
    requests: Sequence[Request],
    book: ResponseStore | None,
    spec: EngineSpec,
    progress: Progress | None = None,
) -> Sequence[Response]:
    """A response for every request, in order. Failures are responses too; answers reach ``book`` as they come.

    Of very many requests AT_ONCE are planned and answered at a time, which bounds the memory. They are cut by their
    places, whatever an earlier run has answered, so that a resumed run computes the same batches.
    """
    if len(requests) <= AT_ONCE:
        return _answer(backend, requests, book, spec, progress)
    found = held.responses()
    for begin in range(0, len(requests), AT_ONCE):
        found.extend(_answer(backend, requests[begin : begin + AT_ONCE], book, spec, progress))
    return found


def _answer(
    backend: Backend,
    requests: Sequence[Request],
    book: ResponseStore | None,
    spec: EngineSpec,
    progress: Progress | None,
) -> list[Response]:
    if isinstance(backend, TokenBackend):
        return _answer_tokens(backend, encode(backend, requests, spec.overlength), book, progress)
    return _answer_texts(backend, requests, book, progress)


class _Ledger:
    """Who waits for which key, what is known, and where new answers go."""

    def __init__(self, keys: Sequence[str], book: ResponseStore | None, progress: Progress | None) -> None:
        self._waiting = Counter(keys)
        self._book = book
        self._progress = progress
        self.known: dict[str, Response] = dict(book.get(self._waiting)) if book else {}
        self.missing = [key for key in self._waiting if key not in self.known]

    def begin(self, total: int, tokens: int | None) -> None:
        if self._progress:
            self._progress.begin(total, total - sum(self._waiting[key] for key in self.missing), tokens)

    def settle(self, key: str, response: Response, tokens: int = 0) -> None:
        self.known[key] = response
        if self._book:
            self._book.put(key, response)
        if response.usage is not None and response.usage.cost:
            self.paid(response.usage.cost)
        if self._progress:
            self._progress.advance(self._waiting[key], tokens)

    def paid(self, usd: float) -> None:
        if isinstance(self._progress, ShowsCost):
            self._progress.paid(usd)

    def end(self) -> None:
        if self._progress:
            self._progress.end()


def _answer_tokens(
    backend: TokenBackend, jobs: Sequence[Job], book: ResponseStore | None, progress: Progress | None
) -> list[Response]:
    if isinstance(book, KnowsRequests):
        book.expect([job.key for job in jobs], [job.response for job in jobs])
    ledger = _Ledger([job.key for job in jobs if job.response is None], book, progress)
    by_key = {job.key: job for job in jobs if job.response is None}
    missing = [by_key[key] for key in ledger.missing]
    ledger.begin(len(jobs), sum(job.prompt_tokens for job in missing))
    known = [row for key, job in by_key.items() if key in ledger.known for row in job.scores]
    with _ending_between_passes(backend, progress):
        _score(backend, [job for job in missing if job.scores], ledger, known)
        _generate(backend, [job for job in missing if job.generate], ledger)
    ledger.end()
    # The answer belongs to the tokens; how much of this request's own prompt was cut off belongs to the request.
    return [job.response or _cut(ledger.known[job.key], job.truncated) for job in jobs]


def _cut(response: Response, tokens: int) -> Response:
    return response if response.truncated == tokens else replace(response, truncated=tokens)


@contextmanager
def _ending_between_passes(backend: Backend, progress: Progress | None) -> Iterator[None]:
    """Let ``progress`` end the work where all answers of a pass have been reported, if both know of passes."""
    if not capabilities(backend).stops_between_passes or not isinstance(progress, StopsWork):
        yield
        return
    stoppable = cast(StopsBetweenPasses, backend)
    stoppable.after_pass = progress.by_passes()
    try:
        yield
    finally:
        stoppable.after_pass = no_op


def _score(backend: TokenBackend, jobs: Sequence[Job], ledger: _Ledger, known: Sequence[LoglikelihoodRow]) -> None:
    """``known``: rows that an earlier run has answered. A backend that ``reproduces_batches`` uses them to compute the
    others in the same batches as then, so that a resumed run's numbers are the unbroken run's to the last bit.
    """
    rows = [row for job in jobs for row in job.scores]
    owner = [place for place, job in enumerate(jobs) for _ in job.scores]
    left = [len(job.scores) for job in jobs]
    parts: list[list[tuple[int, LoglikelihoodResult]]] = [[] for _ in jobs]
    failures: dict[int, Exception] = {}

    def done(index: int, result: RowResult | Exception) -> None:
        place = owner[index]
        if isinstance(result, LoglikelihoodResult):
            parts[place].append((index, result))
        else:
            failures[place] = _as_failure(result)
        left[place] -= 1
        if left[place] == 0:
            job = jobs[place]
            ledger.settle(job.key, _scored(job, parts[place], failures.get(place)), job.prompt_tokens)
            parts[place] = []

    if capabilities(backend).reproduces_batches:
        _feed(partial(cast(ReproducesBatches, backend).score, known=known), rows, done)
    else:
        _feed(backend.score, rows, done)


def _scored(job: Job, parts: Sequence[tuple[int, LoglikelihoodResult]], failure: Exception | None) -> Response:
    if failure is not None:
        return _failure(failure, job)
    # Summed in the order of the rows, not of their arrival: floating-point sums depend on it.
    answers = [part for _, part in sorted(parts, key=lambda part: part[0])]
    problem = next((why for part in answers if (why := impossible(part.loglikelihood))), None)
    if problem is not None:
        return _failure(ArithmeticError(problem), job)
    total = sum(part.loglikelihood for part in answers)
    return Response(
        loglikelihood=total,
        is_greedy=all(part.is_greedy for part in answers),
        prompt_tokens=job.prompt_tokens,
        output_tokens=sum(len(row.tokens) - row.start for row in job.scores),
    )


def _generate(backend: TokenBackend, jobs: Sequence[Job], ledger: _Ledger) -> None:
    def done(index: int, result: RowResult | Exception) -> None:
        job = jobs[index]
        if not isinstance(result, GenerateResult):
            ledger.settle(job.key, _failure(_as_failure(result), job), job.prompt_tokens)
            return
        response = Response(
            text=result.text,
            finish=result.finish,
            prompt_tokens=job.prompt_tokens,
            output_tokens=result.output_tokens,
            thought=result.thought,
        )
        ledger.settle(job.key, response, job.prompt_tokens + result.output_tokens)

    _feed(backend.generate, [job.generate for job in jobs if job.generate], done)


def _feed(call: Callable[[Sequence[Any], OnResult], None], rows: Sequence[Any], done: OnResult) -> None:
    """Hand ``rows`` to the backend. One that runs out of memory gets half as many at a time; nothing is lost."""
    pending = list(range(len(rows)))
    at_once = len(rows)
    while pending:
        part = pending[:at_once]
        answered: set[int] = set()
        note = partial(_note, Places(len(part)), part, answered, done)

        try:
            call([rows[index] for index in part], note)
        except MemoryError:
            if len(part) == 1:
                raise
            at_once = max(1, len(part) // 2)
        else:
            for index in part:
                if index not in answered:
                    answered.add(index)
                    done(index, RuntimeError("the backend gave no answer"))
        pending = [index for index in pending if index not in answered]


def _note(
    places: Places, part: Sequence[int], answered: set[int], done: OnResult, place: int, result: RowResult | Exception
) -> None:
    index = part[places.take(place)]
    answered.add(index)
    done(index, result)


def _as_failure(result: RowResult | Exception) -> Exception:
    return result if isinstance(result, Exception) else TypeError(f"unexpected answer {type(result).__name__}")


def _failure(error: Exception, job: Job) -> Response:
    return Response(status="error", error=str(error) or type(error).__name__, prompt_tokens=job.prompt_tokens)


def _answer_texts(
    backend: TextBackend, requests: Sequence[Request], book: ResponseStore | None, progress: Progress | None
) -> list[Response]:
    keys = [text_key(backend.info.fingerprint, request) for request in requests]
    if isinstance(book, KnowsRequests):
        book.expect(keys, [None] * len(keys))
    ledger = _Ledger(keys, book, progress)
    first = dict(zip(reversed(keys), reversed(requests), strict=True))
    ledger.begin(len(requests), None)
    if isinstance(backend, Paid):
        before = sum(one.usage.cost or 0.0 for one in ledger.known.values() if one.usage is not None)
        backend.paid_before(before)
        ledger.paid(before)
    missing = ledger.missing
    places = Places(len(missing))
    with _ending_between_passes(backend, progress):
        for index, response in backend.respond([first[key] for key in missing]):
            ledger.settle(missing[places.take(index)], possible(response), response.output_tokens)
    ledger.end()
    silent = Response(status="error", error="the backend gave no answer")
    return [ledger.known.get(key, silent) for key in keys]
