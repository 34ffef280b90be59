"""Memory and utilisation while something runs: a thread that looks about twenty times a second.

Host memory is the resident set of this process. Its peak is exact where the kernel's own high-water mark rose in the
meantime, else the largest value seen. Device memory is what torch's allocator counted (exact). Memory that earlier work
of the process has freed goes back to the system first, so that a model's figures do not depend on what ran before it.
"""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import Any

from evalkit.perf.clocks import now
from evalkit.perf.cores import usable_cores
from evalkit.perf.energy import EnergyMeter

INTERVAL = 0.05
"""Seconds between two looks; one look takes about 30 microseconds."""


def resident_bytes() -> int:
    """The resident set of this process in bytes."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def _high_water() -> int:
    """The kernel's record of this process's largest resident set in bytes; 0 where there is none (Windows)."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024


def give_back() -> None:
    """Free what nobody holds, and hand freed memory back to the system where the C library can (glibc)."""
    import ctypes
    import gc

    gc.collect()
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


class Sampler:
    """Watches this process and its GPUs from ``with`` to its end; `counters` may be asked at any time."""

    def __init__(self, interval: float = INTERVAL) -> None:
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="evalkit-sampler", daemon=True)
        self._energy = EnergyMeter()
        self._utilisation: list[float] = []
        self._seen = 0
        self._answering: int | None = None

    def __enter__(self) -> Sampler:
        import psutil

        give_back()
        self._process = psutil.Process()
        self._start_bytes = self._seen = self._process.memory_info().rss
        self._start_mark = _high_water()
        self._start_cpu = sum(self._process.cpu_times()[:2])
        self._started = now()
        self._energy.start()
        self._reset_device()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=5)
        self._energy.close()

    def _watch(self) -> None:
        while not self._stop.wait(self._interval):
            self.look()

    def look(self) -> None:
        """Note the present memory, energy and utilisation; the thread does so by itself."""
        self._resident()
        busy = self._energy.sample()
        if busy is not None:
            self._utilisation.append(busy)

    def _resident(self) -> None:
        held = self._process.memory_info().rss
        self._seen = max(self._seen, held)
        if self._answering is not None:
            self._answering = max(self._answering, held)

    def loaded(self) -> None:
        """The model is loaded: from here on the memory is that of answering, without what only loading took."""
        give_back()
        self._answering = self._process.memory_info().rss

    @staticmethod
    def _reset_device() -> None:
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
            for index in range(torch.cuda.device_count()):
                torch.cuda.reset_peak_memory_stats(index)

    def peak_bytes(self) -> int:
        """The largest resident set since the start."""
        self._resident()
        mark = _high_water()
        return max(mark, self._seen) if mark > self._start_mark else self._seen

    def counters(self) -> dict[str, Any]:
        """ "memory", "utilisation" and "energy" since the start."""

        seconds = now() - self._started
        cpu = sum(self._process.cpu_times()[:2]) - self._start_cpu
        cores = usable_cores()
        utilisation: dict[str, Any] = {"cpu": cpu / seconds / cores if seconds else None, "cpu_cores": cores}
        if self._utilisation:
            utilisation["gpu"] = sum(self._utilisation) / len(self._utilisation)
        memory = {"host_start_bytes": self._start_bytes, "host_peak_bytes": self.peak_bytes()}
        if self._answering is not None:
            memory["host_answer_peak_bytes"] = self._answering
        memory |= _device_peaks()
        return {"memory": memory, "utilisation": utilisation, "energy": self._energy.counters()}


def _device_peaks() -> dict[str, int]:
    """Peak bytes allocated and reserved by torch over all CUDA devices; empty without one in use."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return {}
    devices = range(torch.cuda.device_count())
    return {
        "device_peak_allocated_bytes": sum(torch.cuda.max_memory_allocated(index) for index in devices),
        "device_peak_reserved_bytes": sum(torch.cuda.max_memory_reserved(index) for index in devices),
    }
