"""`evalkit gate`: is the candidate as good as the baseline? Non-inferiority on the bound of a paired interval."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evalkit.analysis.baseline import load_scores
from evalkit.analysis.compare import MetricComparison, Options, RunComparison, compare_scores
from evalkit.analysis.evidence import Coverage, coverage
from evalkit.analysis.policy import RELATIVE_MARGIN, SHARE_MARGIN, Budget, Policy, Rule
from evalkit.analysis.scores import RunScores, TaskScores
from evalkit.contract.errors import UserError
from evalkit.contract.registry import did_you_mean
from evalkit.statistics.paired import holm, items_needed
from evalkit.text import numbers

Outcome = Literal["pass", "regression", "inconclusive", "skipped"]
EXIT_CODES: Mapping[Outcome, int] = {"pass": 0, "regression": 1, "inconclusive": 3}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. ``kind``: margin, floor, errors, presence, coverage, evidence, complete or
    performance.
    """

    kind: str
    task: str
    metric: str
    outcome: Outcome
    message: str
    base: float | None = None
    candidate: float | None = None
    difference: float | None = None
    interval: tuple[float, float] | None = None
    margin: float | None = None
    n: int | None = None
    items_needed: int | None = None


@dataclass(frozen=True, slots=True)
class GateResult:
    """All checks, and what they come to: any regression fails; else anything undecided is inconclusive.

    ``coverage`` says what items there were to judge by, task by task.
    """

    base: str
    candidate: str
    checks: tuple[Check, ...]
    outcome: Outcome
    coverage: tuple[Coverage, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 pass, 1 regression, 3 inconclusive."""
        return EXIT_CODES[self.outcome]


def gate(baseline: Path, candidate: Path, policy: Policy | None = None, *, allow_mismatch: bool = False) -> GateResult:
    """Hold a candidate run against a baseline run or file. Raises UserError (exit code 2) as `compare` does, and for a
    policy that names a task or metric that neither run has.

    Nothing passes unseen: a task of the baseline that no test judged, and a run in which nothing was judged, are
    inconclusive with the reason.
    """
    policy = policy or Policy()
    base, other = load_scores(baseline, policy.cluster_by), load_scores(candidate, policy.cluster_by)
    _known_names(policy, base, other)
    options = Options(allow_mismatch, policy.alpha, policy.seed, policy.resamples)
    shared = any(name in other.tasks for name in base.tasks)
    comparison = compare_scores(base, other, options) if shared else None
    found = coverage(base, other)
    checks = [
        *_complete(base, other),
        *_presence(policy, base, other),
        *_coverage(policy, found, base, other),
        *_errors(policy, other),
        *_margins(policy, comparison, base, other, found),
        *_floors(policy, other),
        *(_performance(budget, base, other) for budget in policy.performance),
    ]
    if not any(check.kind in ("margin", "floor", "performance", "presence") for check in checks):
        checks.append(Check("evidence", "", "", "inconclusive", "nothing was judged: the policy leaves all out"))
    return GateResult(base.label, other.label, tuple(checks), _overall(checks, policy), found)


def _overall(checks: Sequence[Check], policy: Policy) -> Outcome:
    outcomes = {policy.inconclusive if check.outcome == "inconclusive" else check.outcome for check in checks}
    return "regression" if "regression" in outcomes else "inconclusive" if "inconclusive" in outcomes else "pass"


def _known_names(policy: Policy, base: RunScores, candidate: RunScores) -> None:
    """A policy's misspelt task would otherwise gate nothing."""
    known = {*base.tasks, *candidate.tasks, *base.groups, *candidate.groups}
    for name, rule in policy.tasks.items():
        if name not in known and not rule.required:
            continue
        if name not in known:
            raise UserError(f"gate: the policy names task {name!r}, which neither run has{did_you_mean(name, known)}")
        tasks = [run.tasks[name] for run in (base, candidate) if name in run.tasks]
        if rule.metric and tasks and not any(_key(rule.metric) in task.published for task in tasks):
            keys = ", ".join(tasks[0].published)
            raise UserError(f"gate: task {name} has no metric {rule.metric!r}: it has {keys}")


def _key(metric: str) -> str:
    return metric if "," in metric else f"{metric},none"


def _complete(base: RunScores, candidate: RunScores) -> Iterator[Check]:
    for side, run in (("baseline", base), ("candidate", candidate)):
        if run.partial:
            message = f"the {side}'s run was interrupted; finish it with evalkit run --resume"
            yield Check("complete", "", "", "inconclusive", message)


def _wanted(policy: Policy, base: RunScores) -> dict[str, Rule]:
    """What must be judged and by which rule: the policy's tasks and groups, and the baseline's other tasks unless these
    are ignored. A task that belongs to a listed group is judged with it.
    """
    wanted = {name: rule for name, rule in policy.tasks.items() if name in base.tasks or name in base.groups}
    if policy.others == "gate":
        inside = {leaf for name in wanted for leaf in base.groups.get(name, ())}
        wanted |= {name: policy.default for name in base.tasks if name not in wanted and name not in inside}
    return wanted


def _coverage(policy: Policy, found: Sequence[Coverage], base: RunScores, candidate: RunScores) -> Iterator[Check]:
    """Items that the candidate lacks, or has no score of, beyond what the policy allows: what a mean over the rest says
    of all of them is not known.
    """
    rules: dict[str, Rule] = {}
    for name, rule in _wanted(policy, base).items():
        rules |= {leaf: rules.get(leaf, rule) for leaf in base.groups.get(name, (name,))}
    for one in found:
        if one.task not in rules or not one.matched:
            continue
        rule = rules[one.task]
        ceilings = (
            (
                one.unmatched_share,
                policy.max_unmatched if rule.max_unmatched is None else rule.max_unmatched,
                f"{one.base - one.matched:,} of the baseline's {one.base:,} items are not in the candidate (a limited "
                "or partial run?)",
                "max_unmatched",
            ),
            (
                one.lost_share,
                policy.max_unscored if rule.max_unscored is None else rule.max_unscored,
                f"{max(0, one.lost - one.candidate_errors):,} items that the baseline scored have no score in the "
                "candidate",
                "max_unscored",
            ),
        )
        for share, ceiling, what, key in ceilings:
            if share > ceiling:
                message = f"{what} ({share:.1%}); allowed by {key} are {ceiling:.1%}"
                yield Check("coverage", one.task, "", "inconclusive", message, margin=ceiling, n=one.matched)


def _presence(policy: Policy, base: RunScores, candidate: RunScores) -> Iterator[Check]:
    """Required tasks: those the policy lists, and those of the baseline unless the others are ignored."""
    wanted = {name: rule.required for name, rule in policy.tasks.items()}
    if policy.others == "gate":
        wanted |= {name: policy.default.required for name in base.tasks if name not in wanted}
    for name, required in wanted.items():
        if not required or name in candidate.tasks or name in candidate.groups:
            continue
        yield Check("presence", name, "", "regression", "required, but the candidate did not run it")


def _errors(policy: Policy, candidate: RunScores) -> Iterator[Check]:
    for name, task in candidate.tasks.items():
        own = policy.tasks.get(name, policy.default).max_error_rate
        ceiling = policy.max_error_rate if own is None else own
        rate = task.n_error / task.n if task.n else 0.0
        if rate > ceiling:
            message = (
                f"{task.n_error:,} of {task.n:,} documents ended in an error ({rate:.2%}); allowed are {ceiling:.2%}"
            )
            yield Check("errors", name, "", "regression", message, candidate=rate, margin=ceiling, n=task.n)


def _headline(row: MetricComparison, groups: Mapping[str, tuple[str, ...]]) -> bool:
    """Outermost groups, and tasks outside any group: parts of a group are gated only when the policy lists them."""
    members = {row.task} if row.level == "task" else set(groups[row.task])
    return not any(
        members <= set(leaves) for name, leaves in groups.items() if name != row.task and members != set(leaves)
    )


def _margins(
    policy: Policy,
    comparison: RunComparison | None,
    base: RunScores,
    candidate: RunScores,
    found: Sequence[Coverage],
) -> Iterator[Check]:
    """A test of every task that must be judged: by itself, or within a group; where a group's row cannot be made (other
    leaves, other metrics), each of its tasks by itself. What no test reaches is said, with the reason.
    """
    rows = {(row.task, row.metric): row for row in comparison.metrics} if comparison else {}
    headlines = {row.task for row in rows.values() if row.level == "group" and _headline(row, base.groups)}
    chosen: list[tuple[MetricComparison, Rule]] = []
    missing: list[tuple[str, Rule]] = []
    for name, rule in _wanted(policy, base).items():
        group = next((one for one in headlines if name in base.groups[one]), None)
        if name not in policy.tasks and group is not None:
            row = _row(rows, group, rule)
            if row is not None and group not in {one.task for one, _ in chosen}:
                chosen.append((row, rule))
            continue
        row = _row(rows, name, rule)
        if row is not None:
            chosen.append((row, rule))
        elif rule.required and (name in candidate.tasks or name in candidate.groups):
            missing.append((name, rule))
    adjusted = holm([row.difference.p_value for row, _ in chosen])
    for (row, rule), p_value in zip(chosen, adjusted, strict=True):
        yield judge_margin(row, rule, p_value, policy.alpha)
    reasons = {one.task: one.reason for one in found}
    untested = {(one.task, one.metric): one.reason for one in (comparison.not_compared if comparison else ())}
    for name, rule in missing:
        key = _key(rule.metric) if rule.metric else base.tasks[name].primary if name in base.tasks else ""
        reason = untested.get((name, key)) or reasons.get(name) or _why_no_group(name, base, candidate, reasons)
        yield Check("margin", name, rule.metric or "", "inconclusive", f"not judged: {reason}")


def _row(rows: Mapping[tuple[str, str], MetricComparison], name: str, rule: Rule) -> MetricComparison | None:
    """The comparison of a task's or group's metric that the rule asks for, or of its primary one."""
    if rule.metric:
        return rows.get((name, _key(rule.metric)))
    return next((row for (task, _), row in rows.items() if task == name and row.primary), None)


def _why_no_group(name: str, base: RunScores, candidate: RunScores, reasons: Mapping[str, str]) -> str:
    before, now = set(base.groups.get(name, ())), set(candidate.groups.get(name, ()))
    if before != now:
        odd = sorted(before ^ now)
        return f"the group has other tasks in the two runs ({', '.join(odd[:3])}{', ...' if len(odd) > 3 else ''})"
    leaf = next((f"{leaf}: {reasons[leaf]}" for leaf in sorted(before) if reasons.get(leaf)), "")
    return leaf or "its tasks have no metric in common that can be averaged and tested"


def judge_margin(row: MetricComparison, rule: Rule, p_value: float, alpha: float) -> Check:
    """Pass when the interval's bad end stays inside the margin; regression when worse beyond doubt (Holm) and not
    shown to be inside it; undecided otherwise, with the items that would decide it at the observed difference.
    """
    share, difference = row.is_share, row.difference
    sign = 1.0 if row.higher_is_better else -1.0
    worst = min(sign * bound for bound in difference.interval)
    margin = _margin_of(rule, row, share)
    needed = None
    if worst >= -margin:
        outcome: Outcome = "pass"
    elif row.gain < 0 and p_value < alpha:
        outcome = "regression"
    else:
        outcome = "inconclusive"
        distance = row.gain + margin if row.gain > -margin else -row.gain
        needed = items_needed(difference.stderr, difference.n, distance, alpha=alpha)
    bounds = numbers.interval(difference.interval, share, plus=True)
    message = (
        f"difference {numbers.signed(difference.value, share)}, {100 * (1 - alpha):g} % interval {bounds}; "
        f"allowed loss {numbers.score(margin, share)}{' points' if share else ''}"
    )
    if needed:
        message += f"; {difference.n:,} items cannot tell, about {needed:,} would"
    elif outcome == "inconclusive":
        message += f"; {difference.n:,} items cannot tell"
    return Check(
        "margin",
        row.task,
        row.metric,
        outcome,
        message,
        row.base,
        row.candidate,
        difference.value,
        difference.interval,
        margin,
        difference.n,
        needed,
    )


def _margin_of(rule: Rule, row: MetricComparison, share: bool) -> float:
    if rule.margin is not None:
        return rule.margin
    if rule.relative_margin is not None:
        return rule.relative_margin * abs(row.base)
    return SHARE_MARGIN if share else RELATIVE_MARGIN * abs(row.base)


def _floors(policy: Policy, candidate: RunScores) -> Iterator[Check]:
    for name, rule in policy.tasks.items():
        task = candidate.tasks.get(name)
        if rule.floor is None or task is None:
            continue
        key = _key(rule.metric) if rule.metric else task.primary
        value = task.published.get(key)
        yield _floor(task, key, value, rule.floor)


def _floor(task: TaskScores, key: str, value: float | None, floor: float) -> Check:
    if value is None:
        return Check("floor", task.name, key, "regression", "the candidate has no value", margin=floor)
    higher = task.rising.get(key, True)
    fine = value >= floor if higher else value <= floor
    word = "at least" if higher else "at most"
    message = f"{value:.4g}, required {word} {floor:.4g}"
    return Check("floor", task.name, key, "pass" if fine else "regression", message, None, value, margin=floor)


def _performance(budget: Budget, base: RunScores, candidate: RunScores) -> Check:
    """A counter against its budget, on the same hardware only."""

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


def append_summary(text: str) -> Path | None:
    """Append Markdown to the file that GitHub Actions names in GITHUB_STEP_SUMMARY; None outside of it."""
    target = os.environ.get("GITHUB_STEP_SUMMARY")
    if not target:
        return None
    path = Path(target)
    try:
        with path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(text + "\n")
    except OSError as error:
        raise UserError(f"gate: cannot write GITHUB_STEP_SUMMARY ({path}): {error.strerror}") from None
    return path
