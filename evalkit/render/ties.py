"""Which runs of a table cannot be told from its best one, by paired statistics where the items allow them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from evalkit.contract.groups import leaves
from evalkit.contract.types import MetricResult
from evalkit.render.samples import SampleReader
from evalkit.render.view import Run, Ties, groups_of, tasks_of
from evalkit.statistics.intervals import Z95
from evalkit.statistics.paired import join_keys, paired_difference
from evalkit.store.rows import metrics_of

Scores = Mapping[str, float]
"""Join key -> per-sample value."""


def find_ties(sides: Sequence[SampleReader], runs: Sequence[Run]) -> Ties:
    """Runs whose 95 % interval of the difference to the row's best includes zero.

    Tasks and micro averages are paired item by item. Metrics without per-sample values (BLEU, perplexity, macro
    averages) fall back to the standard errors of both, which ignores the pairing and so calls more ties.
    """
    tied: dict[tuple[str, str], frozenset[int]] = {}
    kept: dict[tuple[str, int, str], Scores] = {}
    for name, results in tasks_of(runs).items():
        for run, side in zip(runs, sides, strict=True):
            task = results[run.number]
            if task is not None:
                for key, scores in _scores(side, name, [metric.key for metric in task.metrics]).items():
                    kept[name, run.number, key] = scores
        metrics = [task.metrics if task else None for task in results]
        for key, best, others in _contests(metrics):
            pairs = {
                number: (kept.get((name, best[0], key), {}), kept.get((name, number, key), {})) for number, _ in others
            }
            tied[f"{name}/task", key] = frozenset(n for n, metric in others if _tie(best[1], metric, *pairs[n]))
    for name, found in groups_of(runs).items():
        below = _leaves(name, runs)
        for level in ("micro", "macro"):
            sides_ = [None if group is None else (group.micro if level == "micro" else group.macro) for group in found]
            for key, best, others in _contests(sides_):
                numbers = set()
                for number, metric in others:
                    a, b = (_pooled(kept, below, run, key) if level == "micro" else {} for run in (best[0], number))
                    if _tie(best[1], metric, a, b):
                        numbers.add(number)
                tied[f"{name}/{level}", key] = frozenset(numbers)
    return Ties(tied)


def _scores(side: SampleReader, task: str, keys: Sequence[str]) -> dict[str, dict[str, float]]:
    """Metric key -> join key -> value, of the scored documents."""
    if task not in side.tasks():
        return {}
    frame = side.samples(task, ("doc_hash", "status", "metrics"))
    found: dict[str, dict[str, float]] = {key: {} for key in keys}
    joins = join_keys([str(value) for value in frame["doc_hash"]])
    for join, status, metrics in zip(joins, frame["status"], frame["metrics"], strict=True):
        if status != "ok":
            continue
        for name, value in metrics_of({"metrics": metrics}).items():
            if value is not None and name in found:
                found[name][join] = float(value)
    return found


def _pooled(kept: Mapping[tuple[str, int, str], Scores], below: Sequence[str], run: int, key: str) -> Scores:
    return {f"{leaf}/{join}": value for leaf in below for join, value in kept.get((leaf, run, key), {}).items()}


def _leaves(name: str, runs: Sequence[Run]) -> list[str]:
    """Names of all tasks below a group, in any of the runs."""
    tasks = tasks_of(runs)
    children = {
        one: [child for group in found if group for child in group.group.children]
        for one, found in groups_of(runs).items()
    }
    return [leaf for leaf in leaves(name, children) if leaf in tasks]


Contest = tuple[str, tuple[int, MetricResult], list[tuple[int, MetricResult]]]


def _contests(sides: Sequence[Sequence[MetricResult] | None]) -> list[Contest]:
    """Per metric key: the best run and the others, where at least two runs have a value."""
    contests = []
    keys = dict.fromkeys(metric.key for side in sides if side for metric in side)
    for key in keys:
        entries = [
            (number, metric)
            for number, side in enumerate(sides)
            for metric in side or ()
            if metric.key == key and metric.value is not None
        ]
        if len(entries) > 1:
            sign = 1.0 if entries[0][1].higher_is_better else -1.0
            best = max(entries, key=lambda entry: sign * (entry[1].value or 0.0))
            contests.append((key, best, [entry for entry in entries if entry[0] != best[0]]))
    return contests


def _tie(best: MetricResult, other: MetricResult, a: Scores, b: Scores) -> bool:
    """Whether the difference may be zero."""
    shared = [join for join in a if join in b]
    if len(shared) >= 2 and len(shared) >= 0.9 * max(len(a), len(b)):
        return not paired_difference([a[join] for join in shared], [b[join] for join in shared]).excludes_zero
    if best.value is None or other.value is None:
        return False
    if best.stderr is None or other.stderr is None:
        return best.value == other.value
    return abs(best.value - other.value) <= Z95 * math.hypot(best.stderr, other.stderr)
