"""How many exchanges are under way at once: as many as the server bears.

From `START` on, the number doubles while that makes the server answer faster, and is halved when it refuses or is late
(429, 503, no reply in time). A number that the user chose is kept, but for refusals.
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType

START = 32
MOST = 256
WORTH = 1.1
"""How much faster answers must come for twice the number to be kept."""
WINDOW_S = 1.0
"""Seconds over which a rate is taken, at the least."""
PAUSE_S = 1.0
"""Seconds within which several refusals count as one: exchanges under way meet the same full server."""


class Concurrency:
    """A gate for exchanges; ``async with`` it for each try. Not for several threads."""

    def __init__(self, chosen: int | None = None, start: int = START) -> None:
        self.limit = chosen or min(start, MOST)
        self._most = chosen or MOST
        self._rising = chosen is None
        self._under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._before = (0.0, self.limit)
        """The best rate so far and the limit that it was reached with."""
        self._begun: float | None = None
        self._done = 0
        self._full = False
        self._refused_at = -PAUSE_S

    async def __aenter__(self) -> None:
        while self._under_way >= self.limit:
            place = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            await place
        self._under_way += 1
        self._full = self._full or self._under_way >= self.limit

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._under_way -= 1
        self._wake()

    def answered(self, now: float) -> None:
        """A reply came at ``now``, in seconds."""
        if not self._rising:
            return
        if self._begun is None:
            self._begun, self._done, self._full = now, 0, False
            return
        self._done += 1
        seconds = now - self._begun
        if self._done < 2 * self.limit or seconds < WINDOW_S:
            return
        rate, (best, held) = self._done / seconds, self._before
        self._begun = None
        if not self._full:  # the work did not fill the places: its rate says nothing of them
            return
        if rate < best * WORTH:
            self._rising, self.limit = False, held
        else:
            self._before = (rate, self.limit)
            self.limit = min(self._most, 2 * self.limit)
            self._rising = self.limit > self._before[1]
            self._wake()

    def refused(self, now: float) -> None:
        """The server could not bear it."""
        if now - self._refused_at >= PAUSE_S:
            self._refused_at = now
            self._rising, self.limit = False, max(1, self.limit // 2)

    def _wake(self) -> None:
        free = self.limit - self._under_way
        while free > 0 and self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                free -= 1
