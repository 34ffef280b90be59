"""A task whose prompts show given examples first: in-context learning with exactly the items that something else
had.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from evalkit.contract.errors import UserError
from evalkit.contract.types import (
    DataSource,
    Document,
    Generate,
    MetricResult,
    PromptStyle,
    Request,
    Response,
    SampleResult,
    Score,
)
from evalkit.task.native import NativeTask
from evalkit.training.examples import Example


class InContext:
    """``task`` with ``examples`` before every prompt, as its few-shot examples stand there."""

    def __init__(self, task: NativeTask, examples: Sequence[Example]) -> None:
        self._task = task
        self.info = replace(task.info, num_fewshot=len(examples), shots=None)
        between = task.definition.fewshot_delimiter
        self._head = "".join(f"{one.prompt}{one.completion.rstrip()}{between}" for one in examples)

    def documents(self, data: DataSource) -> Sequence[Document]:
        """The task's own."""
        return self._task.documents(data)

    def requests(self, documents: Sequence[Document], style: PromptStyle) -> Iterator[tuple[Request, ...]]:
        """The task's own zero-shot requests behind the examples. UserError for a chat."""
        if style.chat is not None:
            raise UserError(f"{self.info.name}: examples are shown as plain text here: leave the chat template out")
        for asked in self._task.requests(documents, style):
            yield tuple(
                replace(one, context=self._head + one.context) if isinstance(one, Score | Generate) else one
                for one in asked
            )

    def score(self, document: Document, requests: tuple[Request, ...], responses: Sequence[Response]) -> SampleResult:
        """As the task does."""
        return self._task.score(document, requests, responses)

    def summarize(self, samples: Sequence[SampleResult]) -> tuple[MetricResult, ...]:
        """As the task does."""
        return self._task.summarize(samples)
