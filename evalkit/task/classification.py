"""Tasks as a classifier is asked them: the text itself, without prompt or examples, for the class or the number of it.

A classifier gives the log-probability of each class at once, where a language model scores each answer's text; the
task's own metrics judge both. A definition says what a classifier is shown by its key ``classify``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from evalkit.contract.capabilities import KnowsTarget, TaskTraits, traits
from evalkit.contract.errors import UserError
from evalkit.contract.types import (
    Classify,
    DataSource,
    Document,
    MetricResult,
    PromptStyle,
    Request,
    Response,
    SampleResult,
    Task,
    TaskInfo,
)

if TYPE_CHECKING:
    from evalkit.task.catalog import Selection


@runtime_checkable
class Classifiable(Protocol):
    """A task that may say what a classifier is asked."""

    @property
    def classifies(self) -> bool: ...

    def classified(self, document: Document) -> Classify | None: ...


def by_classification(selection: Selection, model: str) -> Selection:
    """The same tasks as a classifier is asked them. UserError for one that has no classes, or that was to show examples
    to a model which sees none.
    """
    return replace(selection, tasks=tuple(_classified(task, model) for task in selection.tasks))


def _classified(task: Task, model: str) -> ClassifierTask:
    info = task.info
    if not isinstance(task, Classifiable) or not task.classifies:
        raise UserError(
            f"task {info.name}: {model} is a classifier, and the task does not say what a classifier is shown (its key "
            "classify): it serves tasks with classes, such as cola, sst2, mrpc, qnli, rte, stsb"
        )
    if info.num_fewshot:
        raise UserError(f"task {info.name}: {model} is a classifier and sees no examples: leave --num-fewshot out")
    return ClassifierTask(task)


class ClassifierTask:
    """A task as :class:`evalkit.contract.types.Task` with one `Classify` a document."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.info: TaskInfo = replace(task.info, config={**task.info.config, "asked": "classify"})

    def documents(self, data: DataSource) -> Sequence[Document]:
        """As the task's own."""
        return self._task.documents(data)

    def requests(self, documents: Sequence[Document], style: PromptStyle) -> Iterator[tuple[Request, ...]]:
        """One question a document, in no style but the text's own."""
        assert isinstance(self._task, Classifiable)
        for document in documents:
            asked = self._task.classified(document)
            assert asked is not None
            yield (asked,)

    def score(self, document: Document, requests: tuple[Request, ...], responses: Sequence[Response]) -> SampleResult:
        """By the task's own metrics: each class's log-probability as its choice's, or the number as a text."""
        (asked,), (response,) = requests, responses
        assert isinstance(asked, Classify)
        if response.status != "ok":
            given: tuple[Response, ...] = (response,) * max(1, len(asked.labels))
        elif asked.labels:
            best = max(response.values)
            given = tuple(Response(loglikelihood=value, is_greedy=value == best) for value in response.values)
        else:
            given = (Response(text=repr(response.values[0]), finish="stop"),)
        return replace(self._task.score(document, requests, given), requests=requests, responses=tuple(responses))

    def target(self, document: Document) -> Any:
        """The task's own, where it tells it."""
        return self._task.target(document) if isinstance(self._task, KnowsTarget) else None

    def summarize(self, samples: Sequence[SampleResult]) -> tuple[MetricResult, ...]:
        """As the task's own."""
        return self._task.summarize(samples)

    @property
    def traits(self) -> TaskTraits:
        """The task's own."""
        return traits(self._task)
