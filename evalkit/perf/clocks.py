"""The clock of every measurement, read only when the device has finished what was asked of it."""

from __future__ import annotations

import sys
import time

now = time.perf_counter
"""Seconds of a monotonic clock."""


def synchronize(device: object) -> None:
    """Wait for the device's queue (CUDA, MPS); nothing to wait for on a CPU. Torch is never imported for this."""
    kind = str(device).partition(":")[0]
    torch = sys.modules.get("torch")
    if torch is None or kind == "cpu":
        return
    if kind == "cuda":
        torch.cuda.synchronize(device)
    elif kind == "mps":
        torch.mps.synchronize()


class Stopwatch:
    """Seconds since the last lap, each lap read after the device has synchronised."""

    def __init__(self, device: object = "cpu") -> None:
        self._device = device
        synchronize(device)
        self._last = now()

    def lap(self) -> float:
        """Seconds since the last lap (or the start)."""
        synchronize(self._device)
        at = now()
        passed, self._last = at - self._last, at
        return passed
