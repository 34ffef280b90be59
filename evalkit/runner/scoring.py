"""Answers become scored documents, and these a task's numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from evalkit.contract.capabilities import ScoresTogether
from evalkit.contract.errors import MetricsFailed
from evalkit.contract.types import Document, MetricResult, Request, Response, SampleResult, Task, TaskResult
from evalkit.runner.aftermath import Aftermath
from evalkit.runner.interruptible import unanswered
from evalkit.runner.outcomes import Tally
from evalkit.runner.workload import Workload
from evalkit.store.held import Samples, Window
from evalkit.store.packed import HELD

Known = dict[tuple[str, int], SampleResult]
"""Documents that were scored before, by task and number."""


def score(
    workloads: Sequence[Workload], responses: Sequence[Response], known: Known | None = None
) -> list[Sequence[SampleResult]]:
    """Each workload's documents, scored; those that an interruption left unanswered are left out. What is ``known`` is
    not scored again, and what is scored becomes known. Those of a long task are held packed.
    """
    begin, scored = 0, list[Sequence[SampleResult]]()
    for workload in workloads:
        end = begin + workload.n_requests
        answers, begin = Window(responses, begin, end), end
        if known is None and len(workload.documents) > HELD:
            scored.append(_packed(workload, answers))
        else:
            scored.append([sample for _, sample, _ in _scored(workload, answers, {} if known is None else known)])
    return scored


def _packed(workload: Workload, answers: Sequence[Response]) -> Samples:
    samples = Samples(workload.documents, workload.requests, answers)
    for place, sample, given in _scored(workload, answers, None):
        samples.add(place, sample, *given)
    return samples


def _scored(
    workload: Workload, answers: Sequence[Response], known: Known | None
) -> Iterator[tuple[int, SampleResult, tuple[tuple[Request, ...], tuple[Response, ...]]]]:
    """(place, sample, the requests and responses that it was scored by) of the documents that were answered."""
    if isinstance(workload.task, ScoresTogether):
        workload.task.ahead(_answered(workload, answers, known))
    ahead = iter(answers)
    for place, (document, requests) in enumerate(zip(workload.documents, workload.requests, strict=True)):
        given = tuple(islice(ahead, len(requests)))
        if unanswered(given):
            continue
        key = workload.info.name, document.id
        sample = None if known is None else known.get(key)
        if sample is None:
            sample = score_one(workload.task, SampleResult(document, requests, given, None))
            if known is not None:
                known[key] = sample
        yield place, sample, (requests, given)


def _answered(
    workload: Workload, answers: Sequence[Response], known: Known | None
) -> Iterator[tuple[Document, tuple[Response, ...]]]:
    """The documents that are still to be scored, with their answers."""
    ahead = iter(answers)
    for document, requests in zip(workload.documents, workload.requests, strict=True):
        given = tuple(islice(ahead, len(requests)))
        if not unanswered(given) and (known is None or (workload.info.name, document.id) not in known):
            yield document, given


def score_one(task: Task, sample: SampleResult) -> SampleResult:
    """A scorer that fails marks its document, not the run."""
    try:
        return task.score(sample.document, sample.requests, sample.responses)
    except Exception as error:
        return replace(sample, status="error", error=f"scoring failed: {type(error).__name__}: {error}")


def summarize(workload: Workload, samples: Sequence[SampleResult], aftermath: Aftermath) -> TaskResult:
    """A task's metrics, and how many documents ended how. Metrics that fail mark the task, and the others are kept."""
    statuses, truncated, tally = Counter[str](), 0, Tally(workload.info)
    for sample in samples:
        statuses[sample.status] += 1
        truncated += any(response.truncated for response in sample.responses)
        tally.add(sample)
    counted = TaskResult(
        info=workload.info,
        metrics=(),
        n=len(samples),
        n_total=workload.n_total,
        n_ok=statuses["ok"],
        n_unscored=statuses["unscored"],
        n_error=statuses["error"],
        n_truncated=truncated,
        data_source=workload.source,
        outcomes=tally.outcomes(samples),
    )
    found: tuple[MetricResult, ...] = ()

    def metrics() -> TaskResult:
        nonlocal found
        try:
            return replace(counted, metrics=workload.task.summarize(samples))
        except MetricsFailed as error:
            found = error.found
            raise

    return aftermath.attempt(
        f"task {workload.info.name}", metrics, lambda reason: replace(counted, metrics=found, problem=reason)
    )
