"""What a run measured: samples, metrics, tasks, groups, and all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from evalkit.contract.requests import Request, Response, Status
from evalkit.contract.tasks import Document, Group, TaskInfo


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
    clusters: int | None = None
    """How many groups of items the interval takes for independent, where items share a passage; ``stderr`` is that of
    independent items all the same, as lm-evaluation-harness's."""

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
class GroupResult:
    """Averages of one group: ``micro`` weighs every document the same, ``macro`` every child task."""

    group: Group
    micro: tuple[MetricResult, ...]
    macro: tuple[MetricResult, ...]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What a task's answers were like. An empty reply is white space only; ``cut`` ended at the limit of new tokens."""

    replies: int = 0
    """Generated texts that came back."""
    empty: int = 0
    cut: int = 0
    unfinished_thoughts: int = 0
    withheld: int = 0
    """Answers that the provider kept back: they are no replies, and their items have no score."""
    failure: str = ""
    """Why most of the failed items failed, shortened."""
    failure_count: int = 0
    """How many failed for that reason."""
    answers: int = 0
    """Items with an answer: a choice or a text."""
    most_frequent: str = ""
    """The answer that was given most often, shortened."""
    most_frequent_count: int = 0
    distinct_targets: int = 0
    """Different right answers among the items."""


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
    outcomes: Outcomes = field(default_factory=Outcomes)
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

    @property
    def label(self) -> str:
        """What the run's model is called: the label given to it, else its name as asked for; "" if neither is known."""
        asked = self.spec.get("model") or {}
        return str(asked.get("label") or asked.get("name") or self.model.get("name") or "")
