"""An event loop in a thread of its own: all exchanges of a server's client, however many, on one thread, and out of the
way of a loop that the caller may have (a notebook's).
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
Put = Callable[[T], None]

TOGETHER_S = 0.005
"""Seconds over which results are handed over together: a change of threads costs as much as reading a reply."""


class Background:
    """Runs coroutines. Its thread begins with the first of them."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="evalkit-server", daemon=True)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What ``work`` returns or raises."""
        return self._start(work).result()

    def stream(self, work: Callable[[Put[T]], Coroutine[Any, Any, None]]) -> Iterator[T]:
        """What ``work(put)`` puts, as it comes; then what it raises. Where no more is taken, it is cancelled."""
        ahead: queue.SimpleQueue[list[T] | None] = queue.SimpleQueue()
        held: list[T] = []

        def hand_over() -> None:
            ahead.put(held[:])
            held.clear()

        def put(one: T) -> None:
            held.append(one)
            if len(held) == 1:
                self._loop.call_later(TOGETHER_S, hand_over)

        def end(_: Any) -> None:
            ahead.put(held[:])
            ahead.put(None)

        running = self._start(work(put))
        running.add_done_callback(end)
        try:
            while (some := ahead.get()) is not None:
                yield from some
            running.result()
        finally:
            running.cancel()

    def close(self, last: Coroutine[Any, Any, None]) -> None:
        """Cancel what is under way, run ``last`` and end the thread."""
        if self._loop.is_closed():
            last.close()
            return
        self.run(self._end(last))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _start(self, work: Coroutine[Any, Any, T]) -> Any:
        if not self._thread.is_alive():
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    @staticmethod
    async def _end(last: Coroutine[Any, Any, None]) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await last
