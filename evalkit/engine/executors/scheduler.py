"""Which worker computes what, and what becomes of it when a worker is slow, lost or out of memory.

Pure bookkeeping: no clock, no process, no network. The caller says what happened, the scheduler says what to do.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import replace

from evalkit.engine.units import Unit

MAX_LOSSES = 3
"""So often may a unit take its worker down before its rows are given up as errors."""
MAX_HOLDERS = 2
"""So many workers may compute a row at the same time."""


class Scheduler:
    """Hands units to workers (any hashable name) until every row has an answer or is given up."""

    def __init__(self, units: Iterable[Unit]) -> None:
        # Large units first: what is left at the end, when workers begin to idle, is then small.
        self._waiting = deque(sorted(units, key=lambda unit: -unit.tokens))
        self._running: dict[object, Unit] = {}
        self._open = {row for unit in self._waiting for row in unit.rows}

    @property
    def done(self) -> bool:
        """Whether every row is settled."""
        return not self._open

    def take(self, worker: object) -> Unit | None:
        """Work for an idle worker: the next unit, or a copy of what another one is slow with; None: nothing."""
        while self._waiting:
            unit = self._rest(self._waiting.popleft())
            if unit is not None:
                self._running[worker] = unit
                return unit
        copy = self._copy()
        if copy is not None:
            self._running[worker] = copy
        return copy

    def answer(self, row: int) -> bool:
        """Note an answer to ``row``; False: it has one already, this one came from a copy."""
        if row not in self._open:
            return False
        self._open.remove(row)
        return True

    def obsolete(self, worker: object) -> bool:
        """Whether all that the worker computes has been answered, by itself or by others."""
        unit = self._running.get(worker)
        return unit is None or self._open.isdisjoint(unit.rows)

    def finish(self, worker: object) -> tuple[int, ...]:
        """The worker says that its unit is done; rows that it left unanswered, which are given up."""
        return self._give_up(self._release(worker))

    def lose(self, worker: object) -> tuple[int, ...]:
        """The worker is lost, or failed as a whole: its unit goes to another. Rows that are given up after
        MAX_LOSSES such losses.
        """
        unit = self._release(worker)
        if unit is None:
            return ()
        if unit.losses + 1 >= MAX_LOSSES:
            return self._give_up(unit)
        self._waiting.appendleft(replace(unit, losses=unit.losses + 1))
        return ()

    def halve(self, worker: object) -> tuple[int, ...]:
        """The worker ran out of memory: its unit comes again in two halves. A single row is given up."""
        unit = self._release(worker)
        if unit is None or len(unit.rows) == 1:
            return self._give_up(unit)
        middle = len(unit.rows) // 2
        for rows in (unit.rows[middle:], unit.rows[:middle]):
            self._waiting.appendleft(replace(unit, rows=rows, tokens=unit.tokens // 2))
        return ()

    # -- inside -------------------------------------------------------------------------------------------------

    def _rest(self, unit: Unit) -> Unit | None:
        """The unit without its settled rows; None if there are no others."""
        rows = tuple(row for row in unit.rows if row in self._open)
        if not rows:
            return None
        return replace(unit, rows=rows, tokens=unit.tokens * len(rows) // len(unit.rows))

    def _release(self, worker: object) -> Unit | None:
        """What of the worker's unit is open and computed by nobody else."""
        unit = self._running.pop(worker, None)
        if unit is None:
            return None
        held = {row for other in self._running.values() for row in other.rows}
        return self._rest(replace(unit, rows=tuple(row for row in unit.rows if row not in held) or unit.rows[:0]))

    def _give_up(self, unit: Unit | None) -> tuple[int, ...]:
        rows = unit.rows if unit else ()
        self._open.difference_update(rows)
        return rows

    def _copy(self) -> Unit | None:
        """The later half of the largest rest: its owner works from the front, so the two meet in the middle."""
        holders = Counter(row for unit in self._running.values() for row in unit.rows)
        rests = []
        for unit in self._running.values():
            rows = tuple(row for row in unit.rows if row in self._open and holders[row] < MAX_HOLDERS)
            if rows:
                rests.append(replace(unit, rows=rows, tokens=unit.tokens * len(rows) // len(unit.rows)))
        if not rests:
            return None
        largest = max(rests, key=lambda unit: unit.tokens)
        return replace(largest, rows=largest.rows[len(largest.rows) // 2 :], tokens=largest.tokens // 2)
