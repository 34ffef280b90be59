"""The gate at looks at growing data: every look has the error that group-sequential spending leaves to it.

Over all looks a loss of the margin or more passes with a probability of at most half of the policy's alpha, and a loss
of no more than the margin (with ``fail_on: any_loss``: no loss) is called a regression with no more than that. Passing
needs every test to pass, so each may spend the whole error; one regression is enough, so that the tests share it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evalkit.analysis.check import Check
from evalkit.analysis.gate import GateResult, gate_scores, overall
from evalkit.analysis.judging import Question, judge_question, p_worse_of
from evalkit.analysis.policy import FailOn, Policy, Rule
from evalkit.analysis.scores import RunScores
from evalkit.statistics.sequential import LEAST_ALPHA, Boundary, Levels

Name = tuple[str, str, str]
"""Of a check: kind, task, metric."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How many items of a task are there at a look, and the most there will ever be."""

    items: int
    most: int


@dataclass(frozen=True, slots=True)
class Settled:
    """A check that a look decided."""

    look: int
    check: Check


class SequentialGate:
    """What was settled at the looks so far. ``base`` has the tasks that are to be judged, with all their items."""

    def __init__(self, base: RunScores, policy: Policy, *, allow_mismatch: bool = False) -> None:
        self._policy, self._allow_mismatch = policy, allow_mismatch
        self._tasks: dict[Name, tuple[str, ...]] = {}
        self._boundaries: dict[Name, Boundary] = {}
        self._asked: Mapping[str, Asked] = {}
        self._look = 0
        self.settled: dict[Name, Settled] = {}
        self.over = False
        """Whether the gate has passed, or something has failed it."""
        floors = [name for name, rule in policy.tasks.items() if _by_interval(rule) and name in base.tasks]
        gate_scores(base, base, policy, judge=self._note)
        tests = max(1, len(self._tasks) + len(floors))
        self._tasks |= {("floor", name, ""): (name,) for name in floors}
        self._boundaries = {name: Boundary(policy.alpha / 2, tests) for name in self._tasks}
        self._tests = tests

    def open_tasks(self) -> set[str]:
        """The tasks of which more items could decide something."""
        return {task for name, tasks in self._tasks.items() if name not in self.settled for task in tasks}

    @property
    def undecided(self) -> int:
        """How many questions nothing was shown of yet."""
        return len(self._tasks) - len(self.settled)

    def judge(self, base: RunScores, candidate: RunScores, asked: Mapping[str, Asked], *, look: int = 0) -> GateResult:
        """The gate on the items that are there, at the next look. ``base`` is restricted to these items; ``look`` is
        its number in messages.
        """
        self._look = look or self._look + 1
        self._asked = asked
        floor = self._floor_alpha()
        # Of the gate's own tests only those of floors take their level from the policy; margins come to `_judge`.
        policy = self._policy.model_copy(update={"alpha": 2 * (floor or LEAST_ALPHA)})
        found = gate_scores(base, candidate, policy, allow_mismatch=self._allow_mismatch, judge=self._judge)
        checks = tuple(self._at_floor(check, floor) if check.kind == "floor" else check for check in found.checks)
        failed = any(one.check.outcome == "regression" for one in self.settled.values())
        self.over = failed or not self.open_tasks()
        return replace(found, checks=checks, outcome=overall(checks, self._policy))

    def _note(self, questions: Sequence[Question], fail_on: FailOn, alpha: float) -> list[Check]:
        """Learn what will be judged, and of which tasks."""
        self._tasks |= {_name(one): one.row.tasks or (one.row.task,) for one in questions}
        return []

    def _judge(self, questions: Sequence[Question], fail_on: FailOn, alpha: float) -> list[Check]:
        """In place of `judging.judge_margins`: every question at the levels of its own look."""
        checks: list[Check] = []
        for one in questions:
            name = _name(one)
            if name in self.settled:
                checks.append(self.settled[name].check)
                continue
            found = self._checks(one, fail_on)
            if found[0].outcome in ("pass", "regression"):
                said = replace(found[0], message=f"{found[0].message}; shown at look {self._look}")
                found = [self._settle(name, said), *found[1:]]
            checks += found
        return checks

    def _checks(self, one: Question, fail_on: FailOn) -> list[Check]:
        levels = self._levels(_name(one))
        if levels is None:
            return [replace(check, outcome="inconclusive") for check in judge_question(one, fail_on, 2 * LEAST_ALPHA)]
        plain, alpha = p_worse_of(one, fail_on), levels.passing.alpha
        return judge_question(one, fail_on, 2 * alpha, worse=levels.worse(plain), plain=plain, tests=self._tests)

    def _levels(self, name: Name) -> Levels | None:
        """None for what cannot be shown yet, and for a task that stands in for its group where the items so far are too
        few for the group: no error was put aside for it.
        """
        if name not in self._tasks:
            return None
        found = [self._asked[task] for task in self._tasks[name] if task in self._asked]
        most = sum(one.most for one in found)
        return self._boundaries[name].at(min(1.0, sum(one.items for one in found) / most)) if most else None

    def _floor_alpha(self) -> float:
        """The level of every floor at this look; 0 for none."""
        levels = [self._levels(name) for name in self._tasks if name[0] == "floor" and name not in self.settled]
        return min((found.failing.alpha if found else 0.0 for found in levels), default=0.0)

    def _at_floor(self, check: Check, alpha: float) -> Check:
        name = ("floor", check.task, "")
        if name not in self._tasks:  # judged by the number itself
            return check
        if name in self.settled:
            return self.settled[name].check
        if alpha < LEAST_ALPHA:
            return replace(check, outcome="inconclusive")
        return self._settle(name, check) if check.outcome in ("pass", "regression") else check

    def _settle(self, name: Name, check: Check) -> Check:
        self.settled[name] = Settled(self._look, check)
        return check


def _name(one: Question) -> Name:
    return "margin", one.row.task, one.row.metric


def _by_interval(rule: Rule) -> bool:
    return rule.floor is not None and rule.floor_by == "interval"
