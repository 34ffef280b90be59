"""Energy from the hardware's own counters: NVML for GPUs, RAPL for processor packages.

What is read is the whole device or package, other processes' share included. A source that is not there is named as
unavailable with its reason; no constant stands in for it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.perf.clocks import now

POWERCAP = Path("/sys/class/powercap")
JOULES_PER_KWH = 3.6e6


@dataclass
class _Package:
    """One RAPL package: its counter in microjoules wraps at ``span``."""

    counter: Path
    span: int
    last: int
    joules: float = 0.0

    def read(self) -> None:
        value = int(self.counter.read_text())
        self.joules += ((value - self.last) % self.span if self.span else max(0, value - self.last)) * 1e-6
        self.last = value


@dataclass
class _Gpu:
    """One GPU: its energy counter in millijoules, or (older ones) power to be summed over time."""

    handle: Any
    counter: int | None
    joules: float = 0.0


class EnergyMeter:
    """Joules since `start`. `sample` is called now and then, at least once a minute (RAPL counters wrap)."""

    def __init__(self, powercap: Path = POWERCAP) -> None:
        self._powercap = powercap
        self._packages: list[_Package] = []
        self._gpus: list[_Gpu] = []
        self._nvml: Any = None
        self._why: dict[str, str] = {}
        self._last = now()

    def start(self) -> None:
        """Find what can be read and begin."""
        self._open_rapl()
        self._open_nvml()
        self._last = now()

    def _open_rapl(self) -> None:
        for folder in sorted(self._powercap.glob("*rapl:[0-9]*")) if self._powercap.is_dir() else ():
            try:
                if not (folder / "name").read_text().startswith("package"):
                    continue
                span = int((folder / "max_energy_range_uj").read_text())
                counter = folder / "energy_uj"
                self._packages.append(_Package(counter, span, int(counter.read_text())))
            except PermissionError:
                self._why["cpu"] = "the RAPL counters may only be read by root here"
            except (OSError, ValueError) as error:
                self._why["cpu"] = f"the RAPL counters cannot be read ({error})"
        if not self._packages:
            self._why.setdefault("cpu", "no RAPL counters on this machine")

    def _open_nvml(self) -> None:
        try:
            import pynvml
        except ImportError:
            self._why["gpu"] = "the package nvidia-ml-py is not installed"
            return
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError:
            self._why["gpu"] = "no NVIDIA driver"
            return
        self._nvml = pynvml
        for handle in map(pynvml.nvmlDeviceGetHandleByIndex, _visible(pynvml.nvmlDeviceGetCount())):
            try:
                counter = int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))
            except pynvml.NVMLError:
                counter = None
            self._gpus.append(_Gpu(handle, counter))

    def sample(self) -> float | None:
        """Bring the sums up to date; the GPUs' mean utilisation as a share, where there are any."""
        at = now()
        passed, self._last = at - self._last, at
        try:
            for package in self._packages:
                package.read()
        except (OSError, ValueError) as error:
            self._packages, self._why["cpu"] = [], f"reading RAPL failed midway ({error})"
        busy = []
        for gpu in self._gpus:
            try:
                self._read_gpu(gpu, passed)
                busy.append(self._nvml.nvmlDeviceGetUtilizationRates(gpu.handle).gpu / 100)
            except self._nvml.NVMLError:
                continue
        return sum(busy) / len(busy) if busy else None

    def _read_gpu(self, gpu: _Gpu, passed: float) -> None:
        if gpu.counter is None:
            gpu.joules += self._nvml.nvmlDeviceGetPowerUsage(gpu.handle) / 1000 * passed
            return
        value = int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(gpu.handle))
        gpu.joules += (value - gpu.counter) / 1000
        gpu.counter = value

    def counters(self) -> dict[str, Any]:
        """Joules by source with their status: "measured" (an energy counter), "estimated" (power summed over time)
        or "unavailable: why". "joules" is the sum of what was read, absent where nothing was.
        """
        self.sample()
        found: dict[str, Any] = {}
        if self._packages:
            found |= {"cpu": "measured", "cpu_joules": sum(package.joules for package in self._packages)}
        else:
            found["cpu"] = f"unavailable: {self._why['cpu']}" if "cpu" in self._why else "unavailable"
        if self._gpus:
            summed = any(gpu.counter is None for gpu in self._gpus)
            found |= {"gpu": "estimated" if summed else "measured", "gpu_joules": sum(g.joules for g in self._gpus)}
        else:
            found["gpu"] = f"unavailable: {self._why.get('gpu', 'no GPU')}"
        parts = [found[name] for name in ("cpu_joules", "gpu_joules") if name in found]
        if parts:
            found["joules"] = sum(parts)
        return found

    def close(self) -> None:
        """Let go of NVML."""
        if self._nvml is not None:
            self._nvml.nvmlShutdown()
            self._nvml, self._gpus = None, []


def per_kwh(tokens: int, energy: dict[str, Any]) -> float | None:
    """Tokens a kilowatt-hour; None where no energy was read."""
    joules = energy.get("joules")
    return tokens / joules * JOULES_PER_KWH if joules else None


def _visible(count: int) -> list[int]:
    """Indices of the GPUs that this process uses (CUDA_VISIBLE_DEVICES where it holds plain numbers)."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None or not all(part.strip().isdigit() for part in named.split(",") if part.strip()):
        return list(range(count))
    return [int(part) for part in named.split(",") if part.strip() and int(part) < count]
