"""Benchmarks: their documents, what they say of themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, overload

Kind = Literal["multiple_choice", "score", "generate", "rolling", "embed"]


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

    documents: Sequence[Document]
    pool: Sequence[Any] = field(default=(), repr=False)
    folder: Path | None = field(default=None, compare=False, repr=False)
    """Where files lie that the rows name."""

    def __len__(self) -> int:
        return len(self.documents)

    @overload
    def __getitem__(self, place: int) -> Document: ...
    @overload
    def __getitem__(self, place: slice) -> Documents: ...
    def __getitem__(self, place: int | slice) -> Document | Documents:
        if isinstance(place, slice):
            return Documents(self.documents[place], self.pool, self.folder)
        return self.documents[place]

    def __iter__(self) -> Iterator[Document]:
        return iter(self.documents)

    def take(self, places: Iterable[int]) -> Documents:
        """The documents at ``places``, in that order."""
        return Documents(tuple(self.documents[place] for place in places), self.pool, self.folder)


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


HARMFUL = "harmful"
"""The tag of tasks whose items may harm or offend: pages fold them behind a note."""


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
    """True: scored on the bundled items, never comparable with the full set."""
    baseline: float | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    """The whole resolved definition as plain JSON values (results.json's "configs")."""
    shots: Shots | None = None
    """Where ``num_fewshot`` comes from; None in records of before it was kept."""

    @property
    def folded(self) -> bool:
        """Whether pages fold its items."""
        return HARMFUL in self.tags


@dataclass(frozen=True, slots=True)
class Group:
    """A named set of tasks with an average: ``children`` are task or group names."""

    name: str
    children: tuple[str, ...]
    version: str = "1"
    alias: str | None = None
    aggregate: tuple[str, ...] = ()
    """Metric keys that are averaged over the leaves; empty: the group only collects."""
