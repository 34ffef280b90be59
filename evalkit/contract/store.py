"""What the engine asks of those who keep its answers. The store implements it; the engine never sees a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from evalkit.contract.types import Response


class ResponseStore(Protocol):
    """Answers by request key: a run's journal, a cache shared between runs, or both chained."""

    def get(self, keys: Iterable[str]) -> Mapping[str, Response]:
        """The answers that are there, by key."""
        ...

    def put(self, key: str, response: Response) -> None:
        """Keep one answer; returns at once (writes are batched off the hot path)."""
        ...


@runtime_checkable
class KnowsRequests(ResponseStore, Protocol):
    """A store that is told, before it is asked for answers, which key each request has."""

    def expect(self, keys: Sequence[str], given: Sequence[Response | None]) -> None:
        """``keys`` of the requests about to be answered, in their order; ``given`` holds, at the same places, answers
        that need no model (None: an answer comes by its key).
        """
        ...


class Progress(Protocol):
    """Told how far the work is. ``total`` counts requests; ``reused`` came from a response store."""

    def begin(self, total: int, reused: int, tokens: int | None) -> None: ...

    def advance(self, requests: int, tokens: int = 0) -> None: ...

    def end(self) -> None: ...


@runtime_checkable
class ShowsCost(Progress, Protocol):
    """A Progress that is told what answers cost."""

    def paid(self, usd: float) -> None:
        """So much more; after `begin`, and before each `advance`."""
        ...


@runtime_checkable
class StopsWork(Progress, Protocol):
    """A Progress that may end the work early."""

    def by_passes(self) -> Callable[[], None]:
        """Called after `begin` where the backend works in passes. The backend calls what this returns between two of
        them, and only there may it raise.
        """
        ...
