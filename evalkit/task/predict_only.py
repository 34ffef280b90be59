"""Asking without scoring (`--predict-only`): prompts and answers are kept, `evalkit rescore` scores them later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from evalkit.contract.capabilities import KnowsTarget, TaskTraits, traits
from evalkit.contract.types import (
    DataSource,
    Document,
    MetricResult,
    PromptStyle,
    Request,
    Response,
    SampleResult,
    Task,
)

if TYPE_CHECKING:
    from evalkit.task.catalog import Selection

WHY = "not scored: --predict-only (evalkit rescore RUN)"


def without_scores(selection: Selection) -> Selection:
    """The same tasks, whose answers are kept and not scored; groups have no average then."""
    return replace(selection, tasks=tuple(PredictOnly(task) for task in selection.tasks))


class PredictOnly:
    """A task as :class:`evalkit.contract.types.Task` that asks and leaves every answer without a score."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.info = task.info

    def documents(self, data: DataSource) -> Sequence[Document]:
        """As the task's own."""
        return self._task.documents(data)

    def requests(self, documents: Sequence[Document], style: PromptStyle) -> Iterator[tuple[Request, ...]]:
        """As the task's own."""
        return self._task.requests(documents, style)

    def score(self, document: Document, requests: tuple[Request, ...], responses: Sequence[Response]) -> SampleResult:
        """Status "unscored", or "error" where an answer failed; with the right answer where the task tells it."""
        target = self._task.target(document) if isinstance(self._task, KnowsTarget) else None
        kept = SampleResult(document, requests, tuple(responses), target, "unscored", WHY)
        bad = next((one for one in responses if one.status == "error"), None)
        return kept if bad is None else replace(kept, status="error", error=bad.error)

    def summarize(self, samples: Sequence[SampleResult]) -> tuple[MetricResult, ...]:
        """Nothing."""
        return ()

    @property
    def traits(self) -> TaskTraits:
        """The task's own, but nothing is run."""
        return replace(traits(self._task), executes=False)
