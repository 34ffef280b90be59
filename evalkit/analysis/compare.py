"""`evalkit compare`: two or more runs on the same items, every metric and group decided by `analysis.decision`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.analysis.baseline import demand_clusters, load_scores
from evalkit.analysis.decision import Decision, Level, corrected, decide_average, decide_task
from evalkit.analysis.evidence import Coverage, coverage
from evalkit.analysis.pairing import Pairs, mismatches, pairs_of
from evalkit.analysis.scores import RunScores
from evalkit.contract.errors import UserError
from evalkit.statistics.inference import Inference

LEVELS: tuple[Level, ...] = ("micro", "macro")


@dataclass(frozen=True, slots=True)
class RunComparison:
    """One candidate against the base."""

    label: str
    source: str
    metrics: tuple[Decision, ...]
    """Every metric of every shared task and group, those that could not be judged with the reason."""
    mismatches: tuple[str, ...]
    """What differs between the runs and was let through by ``allow_mismatch``."""
    only_base: tuple[str, ...]
    only_candidate: tuple[str, ...]
    coverage: tuple[Coverage, ...] = ()
    """The items there were to compare, task by task, and why a task could not be."""

    @property
    def not_judged(self) -> tuple[Decision, ...]:
        """The metrics without a verdict."""
        return tuple(one for one in self.metrics if one.reason)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A base and its candidates."""

    base: str
    base_source: str
    candidates: tuple[RunComparison, ...]
    alpha: float


def compare(
    base: Path,
    candidates: Sequence[Path],
    *,
    allow_mismatch: bool = False,
    cluster_by: str | None = None,
    alpha: float = 0.05,
) -> Comparison:
    """Compare run directories (or saved baselines), joined by document hash.

    Raises UserError where the runs share no task, or no item that both scored, or were made from different prompts,
    task versions or shots and ``allow_mismatch`` is False.
    """
    if not candidates:
        raise UserError("compare: no candidate given: name a base and one or more candidates")
    if not 0 < alpha < 1:
        raise UserError(f"compare: alpha is {alpha}; it must be between 0 and 1")
    options = Options(allow_mismatch, alpha)
    first, compared = load_scores(base, cluster_by), []
    for path in candidates:
        other = load_scores(path, cluster_by)
        demand_clusters(cluster_by, first, other)
        one = compare_scores(first, other, options)
        compared.append(one)
        if all(row.reason for row in one.metrics):
            reasons = [f"{task.task}: {task.reason}" for task in one.coverage if task.reason]
            reasons += [str(metric) for metric in one.not_judged]
            raise UserError(
                f"compare: {first.source} and {one.source} share nothing that both scored: "
                f"{'; '.join(reasons[:3]) or 'no metric of theirs has a paired test'}"
            )
    return Comparison(base=first.label, base_source=first.source, candidates=tuple(compared), alpha=alpha)


@dataclass(frozen=True, slots=True)
class Options:
    """``details``: False leaves out intervals, flipped items and secondary metrics, for many pairs of runs."""

    allow_mismatch: bool = False
    alpha: float = 0.05
    details: bool = True


def compare_scores(base: RunScores, candidate: RunScores, options: Options | None = None) -> RunComparison:
    """Compare two loaded runs; see `compare`."""
    options = options or Options()
    shared = [name for name in base.tasks if name in candidate.tasks]
    if not shared:
        raise UserError(
            f"compare: {base.source} and {candidate.source} share no task "
            f"({_names(base.tasks)} against {_names(candidate.tasks)})"
        )
    found = coverage(base, candidate)
    pairs = {name: pairs_of(base.tasks[name], candidate.tasks[name]) for name in shared}
    pairs = {name: one for name, one in pairs.items() if one.left}
    differing = [
        text for name, one in pairs.items() for text in mismatches(base.tasks[name], candidate.tasks[name], one)
    ]
    if differing and not options.allow_mismatch:
        more = f" (and {len(differing) - 1} more)" if len(differing) > 1 else ""
        raise UserError(
            f"compare: {base.source} and {candidate.source} are not the same measurement: {differing[0]}{more}: "
            "run both in the same way, or compare all the same with --allow-mismatch"
        )
    rows = list(_groups(base, candidate, pairs, options))
    for name, one in pairs.items():
        before, now = base.tasks[name], candidate.tasks[name]
        keys = dict.fromkeys((*before.series, before.primary)) if options.details else (before.primary,)
        rows += [decide_task(before, now, key, one, options.alpha, details=options.details) for key in keys]
    return RunComparison(
        label=candidate.label,
        source=candidate.source,
        metrics=corrected(rows, base.groups, options.alpha),
        mismatches=tuple(differing),
        only_base=tuple(name for name in base.tasks if name not in candidate.tasks),
        only_candidate=tuple(name for name in candidate.tasks if name not in base.tasks),
        coverage=found,
    )


def _names(tasks: Mapping[str, Any]) -> str:
    names = list(tasks)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _groups(base: RunScores, candidate: RunScores, pairs: Mapping[str, Pairs], options: Options) -> Iterator[Decision]:
    """Both averages of every metric that all tasks of a group have in both runs. The primary one, which the gate
    judges, weighs every item the same where items are numbers, and every task the same where each is a corpus (BLEU).
    """
    for name, leaves in base.groups.items():
        if set(leaves) != set(candidate.groups.get(name, ())) or not leaves or not pairs.keys() >= set(leaves):
            continue
        members = [(base.tasks[leaf], candidate.tasks[leaf], pairs[leaf]) for leaf in leaves]
        first = members[0][0]
        for key, series in first.series.items():
            if not all(key in task.series for one, other, _ in members for task in (one, other)):
                continue
            primary = all(task.primary == key for one, other, _ in members for task in (one, other))
            headline = "micro" if all(not isinstance(value, tuple) for value in series.values) else "macro"
            for level in LEVELS:
                if options.details or (primary and level == headline):
                    row = decide_average(name, members, key, level, options.alpha, details=options.details)
                    yield replace(row, primary=primary and level == headline)


def as_json(value: Any) -> Any:
    """A comparison as plain values: everything that was decided, without the inferences behind it. What JSON has no
    number for (a perplexity beyond all bounds) is None.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: as_json(getattr(value, one.name)) for one in fields(value) if one.type != Inference.__name__}
    if isinstance(value, tuple | list):
        return [as_json(one) for one in value]
    return value
