"""The whole contract: every value that crosses a boundary in evalkit.

All of it is frozen and imports nothing local. The way through the house is

    RunSpec -> Task.documents -> Task.requests -> engine -> Backend -> Response -> Task.score -> MetricResult

See docs/architecture.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, overload, runtime_checkable

Status = Literal["ok", "unscored", "error"]
Kind = Literal["multiple_choice", "score", "generate", "rolling"]


ONLY_IF_SET = "only if set"
"""Marks a field that came later: while it is empty it is no part of a value's identity, so that old keys stay."""


@dataclass(frozen=True, slots=True)
class Image:
    """A picture in a message: its bytes, and what they are ("image/png")."""

    data: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; role is "system", "user" or "assistant". ``images`` stand before the text; only a
    backend whose capabilities name the modality "image" is asked with some.
    """

    role: str
    content: str
    images: tuple[Image, ...] = field(default=(), metadata={ONLY_IF_SET: True})


@dataclass(frozen=True, slots=True)
class Document:
    """One item of a benchmark.

    ``id`` is the item's index in its split (stable under ``--limit``); ``hash`` is the SHA-256 of the
    canonical JSON of ``data`` and is what two runs are joined by.
    """

    id: int
    data: Mapping[str, Any]
    hash: str
    item: Callable[[], Any] | None = field(default=None, compare=False, repr=False)
    """What the task makes of ``data`` (question, choices, target), worked out when it is first asked for and the same
    ever after; requests, scores and aggregates all take it from here."""


@dataclass(frozen=True, slots=True)
class Documents(Sequence[Document]):
    """The documents of a split, with the rows that few-shot examples are drawn from. A slice keeps the pool."""

    documents: tuple[Document, ...]
    pool: Sequence[Any] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.documents)

    @overload
    def __getitem__(self, place: int) -> Document: ...
    @overload
    def __getitem__(self, place: slice) -> Documents: ...
    def __getitem__(self, place: int | slice) -> Document | Documents:
        if isinstance(place, slice):
            return Documents(self.documents[place], self.pool)
        return self.documents[place]

    def take(self, places: Iterable[int]) -> Documents:
        """The documents at ``places``, in that order."""
        return Documents(tuple(self.documents[place] for place in places), self.pool)


@dataclass(frozen=True, slots=True)
class Score:
    """Ask for the log-likelihood of ``continuation`` after ``context`` (an empty context is legal)."""

    context: str
    continuation: str
    messages: tuple[Message, ...] | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen: greedy at temperature 0 (the default), seeded otherwise."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 1234
    extra: tuple[tuple[str, Any], ...] = ()
    """Backend-specific generation settings (``--gen_kwargs``), sorted by name; part of the identity."""


@dataclass(frozen=True, slots=True)
class Generate:
    """Ask for text after ``context`` until a stop string, end-of-sequence or ``max_tokens`` new tokens.

    ``repeat`` numbers independent samples of the same prompt (self-consistency, pass@k).
    """

    context: str
    until: tuple[str, ...] = ()
    max_tokens: int = 256
    sampling: Sampling = field(default_factory=Sampling)
    messages: tuple[Message, ...] | None = None
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class Rolling:
    """Ask for the log-likelihood of a whole text in disjoint windows (perplexity)."""

    text: str


Request = Score | Generate | Rolling


class Asked(tuple[Request, ...]):
    """The requests of one document, with a ``note`` of the task's own that it wants back when it scores them."""

    note: Any

    def __new__(cls, requests: Iterable[Request], note: Any) -> Asked:
        made = super().__new__(cls, requests)
        made.note = note
        return made


@dataclass(frozen=True, slots=True)
class Response:
    """What came back for one request. A failure is a value: ``status`` "error" with its ``error`` reason.

    ``loglikelihood`` is in nats, summed over the continuation's tokens; ``is_greedy`` says whether every one
    of them was the arg-max. ``truncated`` counts prompt tokens dropped from the left to fit the window.
    """

    status: Status = "ok"
    loglikelihood: float | None = None
    is_greedy: bool | None = None
    text: str | None = None
    error: str | None = None
    finish: str | None = None
    prompt_tokens: int = 0
    output_tokens: int = 0
    truncated: int = 0


@dataclass(frozen=True, slots=True)
class SampleResult:
    """One document, scored. ``metrics`` maps "name,filter" to the per-sample value (None: not scored).

    A corpus metric (BLEU, perplexity) keeps its per-sample sufficient statistics in ``statistics``.
    """

    document: Document
    requests: tuple[Request, ...]
    responses: tuple[Response, ...]
    target: Any
    status: Status = "ok"
    error: str | None = None
    filtered: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    statistics: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


Bounds = tuple[float | None, float | None]
"""The least and the largest value that a metric can have; None: no such bound."""
SHARE_UNIT = "share"
"""The unit of a share of one, which is shown in percent."""
MEAN = "mean"
"""The aggregator of metrics whose number is the plain mean of their items' values."""
Level = Literal["item", "group", "corpus"]
"""What one value of a metric belongs to: an item (the samples keep it), a group of items, or all items at once."""


@dataclass(frozen=True, slots=True)
class MetricResult:
    """An aggregated number with everything needed to read it.

    ``interval`` is the 95 % confidence interval; ``signature`` says how the value was computed, as
    sacrebleu's signatures do (for example "acc|agg:mean|ci:wilson|n:200").
    """

    name: str
    filter: str
    value: float | None
    stderr: float | None
    interval: tuple[float, float] | None
    n: int
    higher_is_better: bool
    signature: str
    primary: bool = False
    baseline: float | None = None
    """The score of random guessing, where it is known."""
    majority: float | None = None
    """The score of always giving the most frequent answer, computed from the documents where it applies."""
    bounds: Bounds | None = None
    """What the value lies within by its definition, and so the interval; None: not known."""
    unit: str = ""
    """"share" (of one; shown in percent), "percent", "nats", "bits", "words", "tokens", "seconds", ...; "": none."""
    aggregator: str = ""
    """What joins the items' values: "mean", another of evalkit.metrics.combine, or the name of a registered metric
    whose own ``combine`` does; "" where no such function is known."""
    level: Level = "item"

    @property
    def is_share(self) -> bool:
        """Whether the value is a share of one."""
        return self.unit == SHARE_UNIT

    @property
    def key(self) -> str:
        """The lm-evaluation-harness spelling, "acc,none"."""
        return f"{self.name},{self.filter}"


Metric = MetricResult
"""The name of 0.1, for packages that were written for it."""


@dataclass(frozen=True, slots=True)
class DatasetRef:
    """A data set as the Hub names it. ``revision`` pins it; None only for local data."""

    id: str
    config: str | None = None
    revision: str | None = None


ShotsSource = Literal["flag", "suffix", "entry", "group", "bundled", "definition", "locked"]


@dataclass(frozen=True, slots=True)
class Shots:
    """How many few-shot examples a task's prompts show, what decided it, and that in words."""

    number: int
    source: ShotsSource = "definition"
    why: str = ""


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """What a reader of results needs to know of a task, resolved (after overrides)."""

    name: str
    version: str
    kind: Kind
    dataset: DatasetRef | None
    split: str
    num_fewshot: int
    primary: str
    """The primary metric's key, "acc,none"."""
    higher_is_better: Mapping[str, bool]
    description: str = ""
    alias: str | None = None
    citation: str = ""
    tags: tuple[str, ...] = ()
    sample: bool = False
    """True: scored on the bundled sample, never comparable with the full set."""
    baseline: float | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    """The whole resolved definition as plain JSON values (results.json's "configs")."""
    shots: Shots | None = None
    """Where ``num_fewshot`` comes from; None in records of before it was kept."""


@dataclass(frozen=True, slots=True)
class Group:
    """A named set of tasks with an average: ``children`` are task or group names."""

    name: str
    children: tuple[str, ...]
    version: str = "1"
    alias: str | None = None
    aggregate: tuple[str, ...] = ()
    """Metric keys that are averaged over the leaves; empty: the group only collects."""


@dataclass(frozen=True, slots=True)
class GroupResult:
    """Averages of one group: ``micro`` weighs every document the same, ``macro`` every child task."""

    group: Group
    micro: tuple[MetricResult, ...]
    macro: tuple[MetricResult, ...]


@dataclass(frozen=True, slots=True)
class TaskResult:
    """One task of one run: its metrics and how many documents ended how."""

    info: TaskInfo
    metrics: tuple[MetricResult, ...]
    n: int
    """Documents evaluated (after ``--limit``)."""
    n_total: int
    """Documents in the split."""
    n_ok: int = 0
    n_unscored: int = 0
    n_error: int = 0
    n_truncated: int = 0
    """Documents of which at least one prompt was longer than the context window."""
    data_source: str = ""
    """Where the documents came from: "hub", "mirror", "sample", "generated", with the content's hash."""
    problem: str | None = None
    """Why its numbers could not be computed or its samples not be written, where that failed."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """Everything a run produced, as the store writes and reads it."""

    spec: Mapping[str, Any]
    environment: Mapping[str, Any]
    model: Mapping[str, Any]
    tasks: tuple[TaskResult, ...]
    groups: tuple[GroupResult, ...] = ()
    counters: Mapping[str, Any] = field(default_factory=dict)
    partial: bool = False
    """True: the run was interrupted and the numbers cover only what was answered."""


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
    """Where documents come from: the Hub, a mirror folder, a bundled sample, a generator."""

    name: str

    def load(self, dataset: DatasetRef, split: str) -> Sequence[Mapping[str, Any]]:
        """Rows of one split, fields as on the Hub. Raises UserError that names both ways out."""
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


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a run records of its model. ``fingerprint`` covers everything that can change an answer."""

    name: str
    backend: str
    fingerprint: str
    max_length: int
    tokenizer: str = ""
    n_parameters: int | None = None
    dtype: str = ""
    device: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
