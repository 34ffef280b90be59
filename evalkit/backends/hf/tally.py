"""From what passes read to answers: sums by row, each answered as soon as its last token was read."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import torch

from evalkit.backends.hf.prefix_forward import Pending
from evalkit.contract.backend import LoglikelihoodResult, LoglikelihoodRow, OnResult
from evalkit.engine.plan import Pass
from evalkit.perf.clocks import now, synchronize
from evalkit.perf.counters import Meter


def passes_ahead(device: torch.device) -> int:
    """Passes that a device is given before the answers of those before them are waited for: a GPU computes while the
    host hands on answers and cuts the next pass.
    """
    return 1 if device.type == "cuda" else 0


class Tally:
    """Sums what passes read, row by row, and answers the first ``wanted`` rows as they become complete."""

    def __init__(
        self, rows: Sequence[LoglikelihoodRow], wanted: int, done: OnResult, meter: Meter, device: torch.device
    ) -> None:
        self._totals = np.zeros(len(rows))
        self._greedy = np.ones(len(rows), dtype=bool)
        self._left = np.array([len(row.tokens) - row.start for row in rows])
        self._wanted = wanted
        self._done = done
        self._meter = meter
        self._ahead = passes_ahead(device)
        self._waiting: deque[tuple[Pass, Pending]] = deque()
        synchronize(device)
        self._last = now()

    def add(self, work: Pass, reading: Pending) -> None:
        """A pass that the device was given."""
        self._waiting.append((work, reading))
        self.settle(self._ahead)

    def settle(self, ahead: int = 0) -> None:
        """Wait for all passes but the last ``ahead``. A pass's time is that from the end of the one before it."""
        while len(self._waiting) > ahead:
            work, pending = self._waiting.popleft()
            reading = pending.wait()
            at = now()
            self._meter.prefill(len(work.tokens), at - self._last)
            self._last = at
            np.add.at(self._totals, work.read_row, reading.logprob)
            np.logical_and.at(self._greedy, work.read_row, reading.greedy)
            np.subtract.at(self._left, work.read_row, 1)
            for row in np.unique(work.read_row):
                if self._left[row] == 0 and row < self._wanted:
                    self._done(int(row), _answer(float(self._totals[row]), bool(self._greedy[row])))


def _answer(total: float, greedy: bool) -> LoglikelihoodResult | Exception:
    if not np.isfinite(total):
        return ArithmeticError("the model's logits are not finite")
    return LoglikelihoodResult(total, greedy)
