"""What the driver asks of those who bring workers to life: processes on this machine, or Ray."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Lost:
    """In place of a reply: the worker is gone."""

    reason: str


class Cluster(Protocol):
    """``size`` workers by number, each with an `evalkit.engine.executors.service.Service`."""

    size: int

    def start(self, worker: int) -> None:
        """Bring the worker to life, anew if it was lost. Returns at once."""
        ...

    def environment(self, worker: int) -> dict[str, str]:
        """Variables for `Service.open`: threads and devices of this worker."""
        ...

    def ask(self, worker: int, method: str, *args: Any) -> None:
        """Call a method of the worker's service; the reply comes from `replies`."""
        ...

    def call(self, worker: int, method: str, *args: Any) -> Any:
        """Call a method and wait for its reply (or `Lost`), whatever else was asked of the worker."""
        ...

    def pid(self, worker: int) -> int | None:
        """The worker's process, on its own machine; None where there is none now."""
        ...

    def replies(self, timeout: float) -> list[tuple[int, Any]]:
        """(worker, reply or `Lost`) of the calls that ended, waiting up to ``timeout`` seconds for the first."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...
