"""Answers become scored documents, and these a task's numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from evalkit.contract.errors import MetricsFailed
from evalkit.contract.types import MetricResult, Response, SampleResult, Task, TaskResult
from evalkit.runner.aftermath import Aftermath
from evalkit.runner.interruptible import unanswered
from evalkit.runner.outcomes import outcomes
from evalkit.runner.workload import Workload

Known = dict[tuple[str, int], SampleResult]
"""Documents that were scored before, by task and number."""


def score(
    workloads: Sequence[Workload], responses: Sequence[Response], known: Known | None = None
) -> list[list[SampleResult]]:
    """Each workload's documents, scored; those that an interruption left unanswered are left out. What is ``known`` is
    not scored again, and what is scored becomes known.
    """
    known = {} if known is None else known
    ahead = iter(responses)
    scored = []
    for workload in workloads:
        samples = []
        for document, requests in zip(workload.documents, workload.requests, strict=True):
            answers = tuple(islice(ahead, len(requests)))
            if unanswered(answers):
                continue
            key = workload.info.name, document.id
            if key not in known:
                known[key] = score_one(workload.task, SampleResult(document, requests, answers, None))
            samples.append(known[key])
        scored.append(samples)
    return scored


def score_one(task: Task, sample: SampleResult) -> SampleResult:
    """A scorer that fails marks its document, not the run."""
    try:
        return task.score(sample.document, sample.requests, sample.responses)
    except Exception as error:
        return replace(sample, status="error", error=f"scoring failed: {type(error).__name__}: {error}")


def summarize(workload: Workload, samples: Sequence[SampleResult], aftermath: Aftermath) -> TaskResult:
    """A task's metrics, and how many documents ended how. Metrics that fail mark the task, and the others are kept."""
    statuses = [sample.status for sample in samples]
    counted = TaskResult(
        info=workload.info,
        metrics=(),
        n=len(samples),
        n_total=workload.n_total,
        n_ok=statuses.count("ok"),
        n_unscored=statuses.count("unscored"),
        n_error=statuses.count("error"),
        n_truncated=sum(any(response.truncated for response in sample.responses) for sample in samples),
        data_source=workload.source,
        outcomes=outcomes(samples, workload.info),
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
