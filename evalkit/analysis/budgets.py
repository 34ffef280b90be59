"""Performance counters against their budgets, on the same hardware only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.analysis.check import Check, Outcome
from evalkit.analysis.policy import Budget
from evalkit.analysis.scores import RunScores
from evalkit.text import numbers


def judge_budget(budget: Budget, base: RunScores, candidate: RunScores) -> Check:
    """Pass, a regression, or skipped (inconclusive where required) for what cannot be compared."""

    def check(outcome: Outcome, message: str, a: float | None = None, b: float | None = None) -> Check:
        if outcome == "skipped" and budget.required:
            outcome = "inconclusive"
        return Check("performance", "", budget.counter, outcome, message, a, b)

    before, now = (_counter(run.counters, budget.counter) for run in (base, candidate))
    if now is None:
        return check("skipped", "not measured in the candidate")
    if base.hardware != candidate.hardware:
        return check("skipped", "not comparable: the runs were made on different hardware", before, now)
    problems = []
    write = budget.counter.rpartition(".")[2]
    if budget.limit is not None and (now < budget.limit if budget.higher_is_better else now > budget.limit):
        problems.append(f"{numbers.counter(write, now)}, limit {numbers.counter(write, budget.limit)}")
    if budget.max_change is not None:
        if before is None or before == 0:
            return check("skipped", "not measured in the baseline", before, now)
        worse = (before - now) / abs(before) if budget.higher_is_better else (now - before) / abs(before)
        if worse > budget.max_change:
            problems.append(
                f"{numbers.counter(write, before)} became {numbers.counter(write, now)}, {worse:.1%} worse; "
                f"allowed are {budget.max_change:.1%}"
            )
    if problems:
        return check("regression", "; ".join(problems), before, now)
    return check("pass", f"{numbers.counter(write, now)}", before, now)


def _counter(counters: Mapping[str, Any], path: str) -> float | None:
    value: Any = counters
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
