"""The whole contract: every value that crosses a boundary in evalkit, and what a task is.

All of it is frozen and imports nothing local but its own parts, which lie beside this file: what is asked and answered
(requests), benchmarks (tasks), and what was measured (results). The way through the house is

    RunSpec -> Task.documents -> Task.requests -> engine -> Backend -> Response -> Task.score -> MetricResult

See docs/architecture.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from evalkit.contract.requests import (
    IMAGE_MARK,
    ONLY_IF_SET,
    UNFINISHED,
    WITHHELD,
    Asked,
    Classify,
    Embed,
    Generate,
    Image,
    Message,
    ModelInfo,
    Request,
    Response,
    Rolling,
    Sampling,
    Score,
    Status,
    Usage,
    parts_of,
)
from evalkit.contract.results import (
    MEAN,
    SHARE_UNIT,
    Bounds,
    GroupResult,
    Level,
    Metric,
    MetricResult,
    Outcomes,
    RunResult,
    SampleResult,
    TaskResult,
)
from evalkit.contract.tasks import DatasetRef, Document, Documents, Group, Kind, Shots, ShotsSource, TaskInfo

__all__ = [
    "IMAGE_MARK",
    "MEAN",
    "ONLY_IF_SET",
    "SHARE_UNIT",
    "UNFINISHED",
    "WITHHELD",
    "Asked",
    "Bounds",
    "Classify",
    "DataSource",
    "DatasetRef",
    "Document",
    "Documents",
    "Embed",
    "Generate",
    "Group",
    "GroupResult",
    "HasFolder",
    "Image",
    "Kind",
    "Level",
    "Message",
    "Metric",
    "MetricResult",
    "ModelInfo",
    "Outcomes",
    "PromptStyle",
    "Request",
    "Response",
    "Rolling",
    "RunResult",
    "SampleResult",
    "Sampling",
    "Score",
    "Shots",
    "ShotsSource",
    "Status",
    "Task",
    "TaskInfo",
    "TaskResult",
    "Usage",
    "parts_of",
]


@dataclass(frozen=True, slots=True)
class PromptStyle:
    """How prompts are put together for a model. ``chat`` renders turns by the model's own template:
    ``chat(messages, add_generation_prompt) -> str``; None means plain text.
    """

    chat: Callable[[Sequence[Message], bool], str] | None = None
    system: str | None = None
    multiturn: bool = True
    """With ``chat``: few-shot examples as separate turns (True) or inside one user turn."""
    encode: Callable[[Sequence[str]], list[list[int]]] | None = None
    """The model's own tokenizer, for tasks that measure their prompts; None: not at hand."""
    max_length: int | None = None
    """The model's context window in tokens; None: not known."""


class DataSource(Protocol):
    """Where documents come from: the Hub, a mirror folder, bundled items, a generator."""

    name: str

    def load(self, dataset: DatasetRef, split: str) -> Sequence[Mapping[str, Any]]:
        """Rows of one split, fields as on the Hub. Raises UserError that names both ways out."""
        ...


@runtime_checkable
class HasFolder(Protocol):
    """A source whose rows may name files that lie beside them (pictures)."""

    def files_folder(self, dataset: DatasetRef, split: str) -> Path:
        """The folder that such names are relative to, and lead out of nowhere."""
        ...


@runtime_checkable
class Task(Protocol):
    """A benchmark, configured (shots, seed, sample or not) and ready to make requests.

    No stage changes the task or what it was given: documents bring their few-shot pool and their rendered items along,
    and what scoring must know of a request stands in its `Asked`. What else a task says of itself is its ``traits``
    (`evalkit.contract.capabilities.TaskTraits`).
    """

    info: TaskInfo

    def documents(self, data: DataSource) -> Sequence[Document]:
        """All documents of the evaluation split, in the data set's order; `Documents` where there are examples."""
        ...

    def requests(self, documents: Sequence[Document], style: PromptStyle) -> Iterator[tuple[Request, ...]]:
        """Requests of each document in turn; few-shot draws advance one seeded generator in this order. A tuple may be
        an `Asked`, which comes back to `score` as it is.
        """
        ...

    def score(self, document: Document, requests: tuple[Request, ...], responses: Sequence[Response]) -> SampleResult:
        """Score one document. An error among the responses gives status "error", never a wrong answer."""
        ...

    def summarize(self, samples: Sequence[SampleResult]) -> tuple[MetricResult, ...]:
        """Aggregate the samples whose status is "ok"."""
        ...
