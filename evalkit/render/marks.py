"""Which run of a row is the best and which cannot be told from it: what `analysis.decision` says of every pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from evalkit.analysis.compare import Options, compare_scores
from evalkit.analysis.decision import Level, Verdict
from evalkit.analysis.scores import RunScores, scores_of_run
from evalkit.contract.errors import UserError
from evalkit.contract.types import MetricResult
from evalkit.render.view import Mark, Marks, Run, groups_of, tasks_of

Row = tuple[str, Level, str]
"""Task or group, level, metric key."""
Ask = Callable[[int, int], Verdict]
TURNED: Mapping[Verdict, Verdict] = {"better": "worse", "worse": "better"}


def find_marks(runs: Sequence[Run]) -> Marks:
    """Marks of every row that two runs have.

    A row's leader is the run of the best number that no other is shown to be better than. "best": it is shown to be
    better than every other; else "tie" for it and those that it is not shown to be better than, or "equal" where these
    have the same value on every item. Where a pair could not be judged there is no mark.
    """
    pairs = _Pairs(runs)
    found: dict[tuple[str, str], Mapping[int, Mark]] = {}
    for (name, level, key), entries in _rows(runs).items():
        if len(entries) > 1:
            found[f"{name}/{level}", key] = _marks(entries, partial(pairs.verdict, (name, level, key)))
    return Marks(found)


class _Pairs:
    """Verdicts on pairs of runs; each pair is compared when it is first asked for, whole, as `evalkit compare` does."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._scores = [_scores(run) for run in runs]
        self._known: dict[tuple[int, int], Mapping[Row, Verdict]] = {}

    def verdict(self, row: Row, base: int, candidate: int) -> Verdict:
        """On the candidate against the base."""
        first, second = min(base, candidate), max(base, candidate)
        if (first, second) not in self._known:
            self._known[first, second] = self._compare(first, second)
        found = self._known[first, second].get(row, "not judged")
        return found if base == first else TURNED.get(found, found)

    def _compare(self, first: int, second: int) -> Mapping[Row, Verdict]:
        one, other = self._scores[first], self._scores[second]
        if one is None or other is None:
            return {}
        try:
            compared = compare_scores(one, other, Options(allow_mismatch=True))
        except UserError:  # they share no task
            return {}
        return {(row.task, row.level, row.metric): row.verdict for row in compared.metrics}


def _scores(run: Run) -> RunScores | None:
    """None for a run without samples, of which nothing can be paired."""
    try:
        return scores_of_run(run.path)
    except UserError:
        return None


def _rows(runs: Sequence[Run]) -> dict[Row, dict[int, MetricResult]]:
    """Every row of the report with the runs that have a value of it."""
    found: dict[Row, dict[int, MetricResult]] = {}

    def add(name: str, level: Level, number: int, metrics: Sequence[MetricResult]) -> None:
        for metric in metrics:
            if metric.value is not None:
                found.setdefault((name, level, metric.key), {})[number] = metric

    for name, results in tasks_of(runs).items():
        for number, task in enumerate(results):
            add(name, "task", number, task.metrics if task else ())
    for name, groups in groups_of(runs).items():
        for number, group in enumerate(groups):
            add(name, "micro", number, group.micro if group else ())
            add(name, "macro", number, group.macro if group else ())
    return found


def _marks(entries: Mapping[int, MetricResult], verdict: Ask) -> dict[int, Mark]:
    """``verdict(a, b)`` is that on ``b`` against ``a``."""
    sign = 1.0 if next(iter(entries.values())).higher_is_better else -1.0
    order = sorted(entries, key=lambda number: -sign * (entries[number].value or 0.0))
    leader, seen = order[0], {order[0]}
    for one in order * 2:  # a better one may stand among those that were passed
        if one not in seen and verdict(leader, one) == "better":
            leader = one
            seen.add(one)
    said = {one: verdict(leader, one) for one in order if one != leader}
    if any(one == "better" for one in said.values()):  # each better than the next, in a circle: nothing to mark
        return {}
    near = [number for number, one in said.items() if one in ("no difference shown", "equal")]
    if near:
        mark: Mark = "equal" if all(said[number] == "equal" for number in near) else "tie"
        return dict.fromkeys((leader, *near), mark)
    return {leader: "best"} if all(one == "worse" for one in said.values()) else {}
