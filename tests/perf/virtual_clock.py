"""A clock that moves only when the mock model sleeps: measurements become exact and tests never wait."""

from __future__ import annotations

from types import SimpleNamespace

import pytest


def virtual_time(patch: pytest.MonkeyPatch) -> None:
    """Let evalkit.perf and the mock model share one virtual clock."""
    at = [0.0]

    def sleep(seconds: float) -> None:
        at[0] += seconds

    for module in ("perf.clocks", "bench.bench"):
        patch.setattr(f"evalkit.{module}.now", lambda: at[0])
    patch.setattr("evalkit.runner.evaluate.time", SimpleNamespace(perf_counter=lambda: at[0]))
    patch.setattr("evalkit.backends.mock.time", SimpleNamespace(sleep=sleep))
