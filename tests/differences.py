"""The largest differences that the parity tests saw, printed at the end, also from the workers of pytest-xdist."""

from __future__ import annotations

from typing import Any

import pytest

LARGEST = pytest.StashKey[dict[str, float]]()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist hands its differences to the session that prints them."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["largest"] = session.config.stash.get(LARGEST, {})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take a worker's differences."""
    kept = node.config.stash.setdefault(LARGEST, {})
    for name, value in getattr(node, "workeroutput", {}).get("largest", {}).items():
        kept[name] = max(kept.get(name, 0.0), value)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if largest := config.stash.get(LARGEST, {}):
        terminalreporter.section("largest differences of log-likelihoods, evalkit against lm-eval (nats)")
        for name, value in largest.items():
            terminalreporter.write_line(f"{value:.2e}  {name}")
