"""Evaluations as tests: the fixture ``evalkit`` of pytest.

    def test_the_model_answers(evalkit):
        run = evalkit.evaluate("./checkpoint", ["boolq"], limit=200)
        evalkit.at_least(run["boolq"]["acc"], 0.6)

A run is made once a session for the same arguments. Thresholds are decided by the 95 % interval, not by the number
alone, so that a test does not pass or fail by luck. docs/python.md has the page.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

import evalkit as package

if TYPE_CHECKING:
    from evalkit.analysis.gate import GateResult
    from evalkit.api.run import Run
    from evalkit.contract.types import MetricResult

SHOWN = 5
"""Items that a failure names."""


class Evaluations:
    """What the fixture gives. Failures end the test through pytest, with the numbers that decided."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs: dict[str, Run] = {}

    def evaluate(self, model: Any, tasks: Iterable[Any] | str, **settings: Any) -> Run:
        """`evalkit.evaluate`, once a session for the same arguments; without ``output`` into a temporary folder."""
        names = [tasks] if isinstance(tasks, str) else list(tasks)
        key = hashlib.sha256(repr((model, names, sorted(settings.items()))).encode()).hexdigest()[:16]
        if key not in self._runs:
            settings.setdefault("output", self._folder / key)
            self._runs[key] = package.evaluate(model, names, **settings)
        return self._runs[key]

    def at_least(self, metric: MetricResult, floor: float) -> None:
        """Pass where the metric is shown to be at least ``floor``: its interval lies there with its worse end."""
        self._bound(metric, floor, above=True)

    def at_most(self, metric: MetricResult, ceiling: float) -> None:
        """Pass where the metric is shown to be at most ``ceiling``."""
        self._bound(metric, ceiling, above=False)

    def no_worse(self, run: Any, baseline: Any, policy: Any = None, *, undecided: str = "fail") -> GateResult:
        """`evalkit.gate`: pass where the run is shown to be no worse than the policy allows. ``undecided``: what too
        few items to tell means, "fail", "skip" or "pass".
        """
        result = package.gate(baseline, run, policy)
        lines = [f"{one.task} {one.metric}: {one.message}" for one in result.checks if one.outcome != "pass"]
        if result.exit_code == 1:
            self._fail(f"{result.candidate} is worse than {result.base} by more than is allowed", lines)
        if result.exit_code == 3 and undecided != "pass":
            told = f"too few items to tell whether {result.candidate} is worse than {result.base}"
            if undecided == "skip":
                pytest.skip("; ".join([told, *lines[:1]]))
            self._fail(told, lines)
        return result

    def each(self, run: Run, task: str, check: Callable[[Mapping[str, Any]], Any]) -> None:
        """Pass where ``check`` holds for every item of a task: it gets a row of ``run.samples(task)`` as a mapping, and
        fails by returning False or raising AssertionError. A failure names the first items.
        """
        failed = []
        rows = run.samples(task).to_dict("records")
        for row in rows:
            try:
                good, why = check({str(key): value for key, value in row.items()}), ""
            except AssertionError as error:
                good, why = False, " ".join(str(error).split())[:200]
            if good is False:
                failed.append(f"item {row['doc_id']}{f': {why}' if why else ''}: {str(row['prompt'])[-80:]!r}")
        if failed:
            self._fail(f"{len(failed)} of {len(rows)} items of {task} do not hold", failed)

    def _bound(self, metric: MetricResult, bound: float, *, above: bool) -> None:
        word = "at least" if above else "at most"
        if metric.value is None or metric.interval is None:
            self._fail(f"{metric.name} has no {'value' if metric.value is None else 'interval'}: nothing is shown", [])
        low, high = metric.interval
        if (low >= bound) if above else (high <= bound):
            return
        shown = f"{metric.name} = {metric.value:.4g} [{low:.4g}, {high:.4g}], n = {metric.n}"
        surely = (high < bound) if above else (low > bound)
        verdict = "is shown not to be" if surely else "cannot be told to be"
        self._fail(f"{shown}: {verdict} {word} {bound:g}{'' if surely else '; more items would tell'}", [])

    def _fail(self, reason: str, lines: list[str]) -> NoReturn:
        more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        pytest.fail("\n  ".join([reason, *lines[:SHOWN], *more]), pytrace=False)


@pytest.fixture(scope="session")
def evalkit(tmp_path_factory: pytest.TempPathFactory) -> Evaluations:
    """Runs and judgements of evalkit within tests."""
    return Evaluations(tmp_path_factory.mktemp("evalkit"))
