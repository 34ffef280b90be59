"""`evalkit gate`: is the candidate as good as the baseline? Every task of it decided, or the reason why not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.analysis import gold
from evalkit.analysis.baseline import demand_clusters, load_scores
from evalkit.analysis.budgets import judge_budget
from evalkit.analysis.check import Check, Outcome
from evalkit.analysis.compare import Options, RunComparison, compare_scores
from evalkit.analysis.decision import Decision, decide_average
from evalkit.analysis.evidence import Coverage, coverage
from evalkit.analysis.instruments import estimate_of
from evalkit.analysis.judging import Question, judge_floor, judge_margins
from evalkit.analysis.pairing import pairs_of
from evalkit.analysis.policy import FailOn, Policy, Rule
from evalkit.analysis.scores import RunScores, TaskScores
from evalkit.contract.errors import UserError
from evalkit.contract.registry import did_you_mean
from evalkit.contract.types import SHARE_UNIT
from evalkit.statistics.inference import Inference

AVERAGE = "average"
"""What the policy's average is called among the checks."""
Judge = Callable[[Sequence[Question], FailOn, float], list[Check]]
"""Makes the checks of questions: `judge_margins`, or what judges in its place at a look."""
EXIT_CODES: Mapping[Outcome, int] = {"pass": 0, "regression": 1, "inconclusive": 3}


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
        """0: shown to be no worse than the margins. 1: shown to be worse. 3: neither."""
        return EXIT_CODES[self.outcome]


def gate(baseline: Path, candidate: Path, policy: Policy | None = None, *, allow_mismatch: bool = False) -> GateResult:
    """Hold a candidate run against a baseline run or file. Raises UserError (exit code 2) as `compare` does, and for a
    policy that names a task or metric that neither run has.

    Nothing passes unseen: a task of the baseline that no test judged, and a run in which nothing was judged, are
    inconclusive with the reason.
    """
    policy = policy or Policy()
    finer = policy.wants_p_gold
    base, other = (load_scores(path, policy.cluster_by, p_gold=finer) for path in (baseline, candidate))
    demand_clusters(policy.cluster_by, base, other)
    return gate_scores(base, other, policy, allow_mismatch=allow_mismatch)


def gate_scores(
    base: RunScores,
    candidate: RunScores,
    policy: Policy | None = None,
    *,
    allow_mismatch: bool = False,
    judge: Judge = judge_margins,
) -> GateResult:
    """As `gate`, of loaded runs. ``judge`` makes the checks of all questions at margins."""
    policy = policy or Policy()
    _known_names(policy, base, candidate)
    shared = any(name in candidate.tasks for name in base.tasks)
    comparison = compare_scores(base, candidate, Options(allow_mismatch, policy.alpha)) if shared else None
    found = coverage(base, candidate)
    checks = [
        *_complete(base, candidate),
        *_presence(policy, base, candidate),
        *_coverage(policy, found, base, candidate),
        *_errors(policy, candidate),
        *_margins(policy, comparison, base, candidate, found, judge),
        *_floors(policy, candidate),
        *(judge_budget(budget, base, candidate) for budget in policy.performance),
    ]
    if not any(check.kind in ("margin", "floor", "performance", "presence") for check in checks):
        checks.append(Check("evidence", "", "", "inconclusive", "nothing was judged: the policy leaves all out"))
    return GateResult(base.label, candidate.label, tuple(checks), overall(checks, policy), found)


def overall(checks: Sequence[Check], policy: Policy) -> Outcome:
    """What all checks come to."""
    outcomes = {policy.inconclusive if one.outcome == "inconclusive" else one.outcome for one in checks if one.counts}
    return "regression" if "regression" in outcomes else "inconclusive" if "inconclusive" in outcomes else "pass"


def _known_names(policy: Policy, base: RunScores, candidate: RunScores) -> None:
    """A policy's misspelt task would otherwise gate nothing."""
    known = {*base.tasks, *candidate.tasks, *base.groups, *candidate.groups}
    for name in policy.average.tasks if policy.average else ():
        if name not in known:
            raise UserError(
                f"gate: the policy's average names {name!r}, which neither run has{did_you_mean(name, known)}"
            )
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


def _averaged(policy: Policy, base: RunScores) -> tuple[str, ...]:
    """The tasks of the policy's average, groups resolved."""
    names = policy.average.tasks if policy.average else ()
    return tuple(dict.fromkeys(leaf for name in names for leaf in base.groups.get(name, (name,))))


def judged_tasks(policy: Policy, base: RunScores) -> set[str]:
    """The baseline's tasks that something is judged of."""
    leaves = {leaf for name in _wanted(policy, base) for leaf in base.groups.get(name, (name,))}
    return leaves | {name for name in _averaged(policy, base) if name in base.tasks}


def _wanted(policy: Policy, base: RunScores) -> dict[str, Rule]:
    """What must be judged and by which rule: the policy's tasks and groups, and the baseline's other tasks unless these
    are ignored. A task that belongs to a listed group, or to the average, is judged with it.
    """
    wanted = {name: rule for name, rule in policy.tasks.items() if name in base.tasks or name in base.groups}
    if policy.others == "gate":
        inside = {leaf for name in wanted for leaf in base.groups.get(name, ())} | set(_averaged(policy, base))
        wanted |= {name: policy.default for name in base.tasks if name not in wanted and name not in inside}
    return wanted


def _coverage(policy: Policy, found: Sequence[Coverage], base: RunScores, candidate: RunScores) -> Iterator[Check]:
    """Items that the candidate lacks, or has no score of, beyond what the policy allows: what a mean over the rest says
    of all of them is not known.
    """
    rules: dict[str, Rule] = {}
    for name, rule in _wanted(policy, base).items():
        rules |= {leaf: rules.get(leaf, rule) for leaf in base.groups.get(name, (name,))}
    if policy.average:
        rules |= {leaf: rules.get(leaf, policy.average) for leaf in _averaged(policy, base)}
    for one in found:
        if one.task not in rules or not one.matched:
            continue
        rule = rules[one.task]
        ceilings = (
            (
                one.unmatched_share,
                policy.max_unmatched if rule.max_unmatched is None else rule.max_unmatched,
                f"{one.base - one.matched:,} of the baseline's {one.base:,} items are not in the candidate"
                f"{_limited(candidate, one.task)}",
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


def _limited(candidate: RunScores, name: str) -> str:
    """What kind of run lacks items, where it says so itself."""
    task = candidate.tasks[name]
    if candidate.partial:
        return f", a partial run: it was interrupted after {len(task.keys):,} items"
    if task.n_total is not None and task.n < task.n_total:
        return f", a limited run: {task.n:,} of the task's {task.n_total:,} items"
    return ""


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


def _headline(row: Decision, groups: Mapping[str, tuple[str, ...]]) -> bool:
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
    judge: Judge,
) -> Iterator[Check]:
    """A test of every task that must be judged: by itself, within a group, or within the policy's average; where a
    group's row cannot be made (other leaves, other metrics), each of its tasks by itself. What no test reaches is said,
    with the reason.
    """
    rows = {(row.task, row.metric, row.primary): row for row in comparison.metrics} if comparison else {}
    heads = {row.task for row in rows.values() if row.level != "task" and _judged(row) and _headline(row, base.groups)}
    questions: list[Question] = []
    missing: list[tuple[str, Rule]] = []
    reasons = {one.task: one.reason for one in found}
    for name, rule in _wanted(policy, base).items():
        group = next((one for one in heads if name in base.groups[one]), None)
        if name not in policy.tasks and group is not None:
            row = _row(rows, group, rule)
            if row is not None and group not in {one.row.task for one in questions}:
                questions.append(_question(row, rule, rows, base, candidate))
            continue
        row = _row(rows, name, rule)
        if row is not None and (rule.required or not row.reason):
            row = replace(row, reason=row.reason and (reasons.get(name) or row.reason))
            questions.append(_question(row, rule, rows, base, candidate))
        elif rule.required and (name in candidate.tasks or name in candidate.groups):
            missing.append((name, rule))
    if policy.average:
        yield from _average(policy, rows, base, candidate, questions)
    if policy.p_gold is not None:
        yield from _finer(policy.p_gold, rows, base, candidate, questions)
    yield from judge(questions, policy.fail_on, policy.alpha)
    for name, rule in missing:
        reason = reasons.get(name) or _why_no_group(name, base, candidate, reasons)
        yield Check("margin", name, rule.metric or "", "inconclusive", f"not judged: {reason}")


def _average(
    policy: Policy, rows: Rows, base: RunScores, candidate: RunScores, questions: list[Question]
) -> Iterator[Check]:
    """Add the policy's average to the ``questions``, or say why there is none."""
    rule, names = policy.average, _averaged(policy, base)
    assert rule is not None
    lacking = [name for name in names if name not in base.tasks or name not in candidate.tasks]
    if lacking:
        side = "baseline" if lacking[0] not in base.tasks else "candidate"
        message = f"not judged: {', '.join(lacking[:3])} {'is' if len(lacking) == 1 else 'are'} not in the {side}"
        outcome: Outcome = "regression" if rule.required and side == "candidate" else "inconclusive"
        yield Check("presence" if outcome == "regression" else "margin", AVERAGE, "", outcome, message)
        return
    members = [
        (base.tasks[name], candidate.tasks[name], pairs_of(base.tasks[name], candidate.tasks[name])) for name in names
    ]
    odd = next((one.name for one, other, _ in members if one.primary != other.primary), None)
    row = decide_average(AVERAGE, members, None, "macro", policy.alpha)
    if odd is not None or row.reason:
        reason = row.reason if odd is None else f"{odd} has another primary metric in the two runs"
        yield Check("margin", AVERAGE, "", "inconclusive", f"not judged: {reason}")
        return
    questions.append(_question(row, rule, rows, base, candidate))


def _finer(
    margin: float, rows: Rows, base: RunScores, candidate: RunScores, questions: list[Question]
) -> Iterator[Check]:
    """Beside every question on tasks with choices one on the probability of the right answer."""
    rule, asked = Rule(margin=margin), list(questions)
    for one in asked:
        names = one.row.tasks or (one.row.task,)
        sides = [(base.tasks[name], candidate.tasks[name]) for name in names]
        known = [[gold.KEY in side.series for side in pair] for pair in sides]
        if one.row.metric == gold.KEY or not any(any(pair) for pair in known):
            continue
        if not all(all(pair) for pair in known):
            name, (has, _) = next((name, pair) for name, pair in zip(names, known, strict=True) if not all(pair))
            side = "candidate" if has else "baseline"
            reason = (
                f"{name} has no log-likelihoods of choices in the {side} (a baseline saved before p_gold: save again)"
            )
            yield Check("margin", one.row.task, gold.KEY, "inconclusive", f"not judged: {reason}", margin=margin)
            continue
        if one.row.level == "task":
            row: Decision | None = rows.get((one.row.task, gold.KEY, False))
        else:
            members = [(first, other, pairs_of(first, other)) for first, other in sides]
            row = decide_average(one.row.task, members, gold.KEY, one.row.level)
        if row is not None:
            questions.append(Question(row, rule, one.total))
    if not any(one.row.metric == gold.KEY for one in questions):
        yield Check("margin", "", gold.KEY, "inconclusive", "not judged: no task here has choices", margin=margin)


Rows = Mapping[tuple[str, str, bool], Decision]


def _judged(row: Decision) -> bool:
    return row.primary and not row.reason


def _question(row: Decision, rule: Rule, rows: Rows, base: RunScores, candidate: RunScores) -> Question:
    """With the tasks below a group or average, and the items that there are."""
    parts = [part for name in row.tasks if (part := _row(rows, name, Rule())) is not None]
    totals = [_total(part.task, base, candidate) for part in parts]
    known = [one for one in totals if one is not None]
    total = sum(known) if row.tasks and len(known) == len(row.tasks) else None
    if not row.tasks:
        total = _total(row.task, base, candidate)
    return Question(row, rule, total, tuple(parts), tuple(totals))


def _total(name: str, base: RunScores, candidate: RunScores) -> int | None:
    """The items that a task has, as either run says."""
    return candidate.tasks[name].n_total or base.tasks[name].n_total


def _row(rows: Rows, name: str, rule: Rule) -> Decision | None:
    """The decision on a task's or group's metric that the rule asks for, or on its primary one."""
    if rule.metric:
        key = _key(rule.metric)
        return rows.get((name, key, True)) or rows.get((name, key, False))
    return next((row for (task, _, primary), row in rows.items() if task == name and primary), None)


def _why_no_group(name: str, base: RunScores, candidate: RunScores, reasons: Mapping[str, str]) -> str:
    before, now = set(base.groups.get(name, ())), set(candidate.groups.get(name, ()))
    if before != now:
        odd = sorted(before ^ now)
        return f"the group has other tasks in the two runs ({', '.join(odd[:3])}{', ...' if len(odd) > 3 else ''})"
    leaf = next((f"{leaf}: {reasons[leaf]}" for leaf in sorted(before) if reasons.get(leaf)), "")
    return leaf or "its tasks have no metric in common that can be averaged and tested"


def _floors(policy: Policy, candidate: RunScores) -> Iterator[Check]:
    for name, rule in policy.tasks.items():
        task = candidate.tasks.get(name)
        if rule.floor is None or task is None:
            continue
        key = _key(rule.metric) if rule.metric else task.primary
        yield _floor(policy, task, key, rule)


def _floor(policy: Policy, task: TaskScores, key: str, rule: Rule) -> Check:
    series, reason = task.series.get(key), "it keeps no values of its items"
    found: Inference | None = None
    if series is not None:
        try:
            found = estimate_of(series, clusters=task.clusters)
        except UserError as error:
            reason = str(error)
    low, high = (series.bounds if series else None) or (None, None)
    return judge_floor(
        found, task.published.get(key), task.name, key, rule, higher=task.rising.get(key, True),
        share=series is not None and series.unit == SHARE_UNIT, reason=reason, total=task.n_total,
        width=None if low is None or high is None else high - low, alpha=policy.alpha,
    )  # fmt: skip
