"""What only some backends can do: one small protocol for each.

`evalkit.contract.capabilities.Capabilities` says what a backend can; these say how it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from evalkit.contract.backend import LoglikelihoodRow, OnResult, Tokens
from evalkit.contract.capabilities import Capabilities, Declares
from evalkit.contract.types import Document, Message, Request, Response


class TextPart(Protocol):
    """What of a token backend works without weights."""

    def encode(self, texts: Sequence[str], special: bool | None = None) -> list[list[int]]: ...

    def decode(self, tokens: Sequence[int]) -> str: ...

    def chat(self, messages: Sequence[Message], add_generation_prompt: bool) -> str: ...


@runtime_checkable
class HasChatTemplate(Protocol):
    """Renders a conversation by its own template; a server does that by itself."""

    def chat(self, messages: Sequence[Message], add_generation_prompt: bool) -> str: ...


@runtime_checkable
class KnowsEncoding(Protocol):
    """Tells what the ids of `encode` depend on, so that the engine may keep them between runs."""

    @property
    def encoding_identity(self) -> str | None:
        """A text that changes with tokenizer, special tokens and library versions; None: not to be told."""
        ...


@runtime_checkable
class ReproducesBatches(Protocol):
    """Can repeat the batches of an interrupted run (``Capabilities.reproduces_batches``)."""

    def score(self, rows: Sequence[LoglikelihoodRow], done: OnResult, known: Sequence[LoglikelihoodRow] = ()) -> None:
        """Answer ``rows`` in the batches in which they stand together with ``known``, which are answered already."""
        ...


@runtime_checkable
class StopsBetweenPasses(Protocol):
    """Works in passes. ``after_pass`` is called between two of them, when all answers of the first have been reported,
    and may raise to end the work there.
    """

    after_pass: Callable[[], None]


@runtime_checkable
class ByDocument(Protocol):
    """Knows its answers by document rather than by prompt (``Capabilities.by_document``)."""

    def bind(self, documents: Sequence[Document], requests: Sequence[tuple[Request, ...]], task: str = "") -> None:
        """Which requests belong to which document; once a task, before `respond`."""
        ...

    def finish(self) -> None:
        """All tasks are bound."""
        ...


@runtime_checkable
class IgnoresEnd(Protocol):
    """Can be told to go on past end-of-text (``Capabilities.ignores_end``)."""

    ignore_end: bool


@dataclass(frozen=True, slots=True, eq=False)
class TokenStatistics:
    """Of each token of a row behind its first, in nats: its log-probability, and mean and standard deviation of the
    log-probability of a token drawn from the model there. Each of shape [tokens - 1].
    """

    loglikelihood: npt.NDArray[np.float64]
    mean: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]


@runtime_checkable
class TellsTokens(Protocol):
    """Knows the whole distribution at every token, and not the scored tokens' sum alone."""

    def token_statistics(self, rows: Sequence[Tokens]) -> list[TokenStatistics]:
        """Of each row of at least two tokens, within the context window."""
        ...


@runtime_checkable
class HasWeights(Protocol):
    """Tells the size of its weights."""

    @property
    def weight_bytes(self) -> int: ...


@runtime_checkable
class Paid(Protocol):
    """Costs money, and may stop at a limit (`evalkit.contract.errors.LimitReached`)."""

    def paid_before(self, usd: float) -> None:
        """Answers of this run that are there already have cost so much."""
        ...


@dataclass(frozen=True, slots=True)
class Report:
    """What a backend tells of a run: ``values`` go into the run's counters under ``name``, ``lines`` to the user."""

    name: str
    values: Mapping[str, Any]
    lines: tuple[str, ...] = ()


@runtime_checkable
class Reporting(Protocol):
    """Decides something while it answers, and tells it afterwards (a cascade)."""

    def alternatives(self) -> Sequence[Sequence[Response]]:
        """Other answers to all requests of the run, in their order, that are to be scored too."""
        ...

    def report(self, scores: Sequence[Mapping[str, Mapping[str, float | None]]]) -> Report:
        """What was decided. ``scores``: of each of `alternatives`, every task's metrics by key."""
        ...


def capabilities(backend: Any) -> Capabilities:
    """What ``backend`` says that it can; of one that says nothing, what its protocols show."""
    if isinstance(backend, Declares):
        return backend.capabilities
    return Capabilities(
        by_document=isinstance(backend, ByDocument), stops_between_passes=isinstance(backend, StopsBetweenPasses)
    )
