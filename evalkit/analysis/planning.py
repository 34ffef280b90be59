"""`evalkit plan`: what the gate will say, before an item is asked about.

Candidates are drawn (`changes`) and judged by the gate's own tests: how often it passes, fails or cannot tell where
nothing changed and where something was lost, and how many items would make it pass 80 % of unchanged candidates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from evalkit.analysis.changes import Changes, assumed, observed
from evalkit.analysis.gate import gate_scores
from evalkit.analysis.instruments import Part, average_difference
from evalkit.analysis.judging import Question, margin_of
from evalkit.analysis.policy import FailOn, Policy
from evalkit.analysis.scores import RunScores, Series
from evalkit.contract.errors import UserError
from evalkit.contract.types import MEAN
from evalkit.statistics.choice import difference_for
from evalkit.statistics.inference import Inference
from evalkit.statistics.margins import POWER, p_worse
from evalkit.statistics.multiple import holm

if TYPE_CHECKING:
    import numpy as np

DRAWS = 400
FLIPS = 0.05
"""Assumed where there are no earlier runs and nothing was said."""
SEARCHES = 6
"""Shares of the items at which gates are drawn, to find how many are needed."""
NO_CHANGE, TWICE, GIVEN = "no change", "twice the margin", "the given loss"
"""What may be true of a candidate."""


@dataclass(frozen=True, slots=True)
class Odds:
    """Shares of the drawn candidates that end in each exit code."""

    passed: float
    regression: float
    neither: float


@dataclass(frozen=True, slots=True)
class Row:
    """What is judged: a task, group or average, by one metric. ``odds`` go by the name of the scenario.

    ``items_needed``: so many make an unchanged candidate pass with 80 %; None where all ``total`` do not. ``reason``:
    why nothing could be drawn.
    """

    task: str
    metric: str
    items: int
    total: int
    margin: float
    changed: float
    is_share: bool
    odds: Mapping[str, Odds] = field(default_factory=dict)
    items_needed: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """``overall``: of the whole gate, where several things are judged. ``assumed``: the flips that were assumed, None
    where earlier runs showed them. A rate is known to about 5 points at 400 ``draws``.
    """

    base: str
    rows: tuple[Row, ...]
    scenarios: tuple[str, ...]
    overall: Row | None
    assumed: float | None
    draws: int
    alpha: float


@dataclass(frozen=True)
class _Judged:
    """One question with what candidates are drawn from: a population a task, and how much each task weighs."""

    question: Question
    series: tuple[Series, ...]
    changes: tuple[Changes, ...]
    items: tuple[int, ...]
    totals: tuple[int, ...]
    weights: tuple[float, ...]
    margin: float
    any_loss: bool

    def drawn(
        self, share: float, loss: float, generator: np.random.Generator, *, worse: bool = True
    ) -> tuple[float, float]:
        """(p-value of a pass, p-value of a regression) of one candidate on ``share`` of all items there are; without
        ``worse`` the second is not worked out.
        """
        import numpy as np

        found = [
            changes.draw(max(2, round(share * total)), loss, generator)
            for changes, total in zip(self.changes, self.totals, strict=True)
        ]
        if len(found) == 1 and self.binary:
            differences = found[0][0]
            counts = int((differences > 0).sum()), int((differences < 0).sum()), len(differences)
            return _of_counts(*counts, self.margin, self.any_loss)
        parts = []
        for series, changes, (differences, units) in zip(self.series, self.changes, found, strict=True):
            low = (series.bounds or (0.0, None))[0] or 0.0
            a, b = low + np.maximum(-differences, 0.0), low + np.maximum(differences, 0.0)
            labels = [str(unit) for unit in units] if changes.clustered else None
            parts.append(Part(series, series, a.tolist(), b.tolist(), labels))
        inference = parts[0].inference() if len(parts) == 1 else average_difference(parts, self.weights)
        if not worse:
            return inference.p_value(-self.margin, "greater"), 1.0
        return _p_values(inference, self.margin, self.any_loss)

    @property
    def binary(self) -> bool:
        """Whether one task's items are right or wrong and stand alone: counts of flips are all that matters."""
        (first, *others) = self.changes
        return not others and not first.clustered and all(float(unit[0]) == 1.0 for unit in first.units)


@lru_cache(maxsize=100_000)
def _of_counts(gained: int, lost: int, n: int, margin: float, any_loss: bool) -> tuple[float, float]:
    """The same p-values by counts alone: shares repeat them."""
    a = [0.0] * gained + [1.0] * lost + [1.0] * (n - gained - lost)
    b = [1.0] * gained + [0.0] * lost + [1.0] * (n - gained - lost)
    return _p_values(difference_for(a, b, binary=True), margin, any_loss)


def _p_values(gain: Inference, margin: float, any_loss: bool) -> tuple[float, float]:
    return gain.p_value(-margin, "greater"), p_worse(gain, margin, any_loss=any_loss)


def plan(
    base: RunScores,
    policy: Policy | None = None,
    runs: Sequence[RunScores] = (),
    *,
    flips: float | None = None,
    loss: float | None = None,
    limit: float | None = None,
    draws: int = DRAWS,
    seed: int = 1234,
    brief: bool = False,
) -> Plan:
    """What the gate will say of candidates that are held against ``base``.

    ``runs`` are earlier runs on the same items, whose differences from the baseline are taken for what another
    unchanged candidate's may be; else a share ``flips`` of the items is assumed to change. ``loss``: one more true loss
    to look at, beside none and twice the margin. ``limit``: items a task (below 1: that share), in place of the
    baseline's. ``brief``: of several tasks only the gate's own items are searched. UserError where nothing would be
    judged.
    """
    policy = policy or Policy()
    if runs and flips is not None:
        raise UserError("plan: give earlier runs or --flips, not both")
    rate = None if runs else FLIPS if flips is None else flips
    judged: list[_Judged | Row] = []
    questions, undecided = _questions(base, policy)
    for question in questions:
        judged.append(_populated(question, base, runs, rate, policy.fail_on, limit, seed))
    drawn = [one for one in judged if isinstance(one, _Judged)]
    if not drawn:
        reasons = [
            *(f"{one.task}: {one.reason}" for one in judged if isinstance(one, Row)),
            *undecided,
            "the policy judges no task",
        ]
        raise UserError(f"plan: nothing can be drawn: {reasons[0]}")
    scenarios = {NO_CHANGE: 0.0, TWICE: 2.0}
    single, whole = _simulate(drawn, policy.alpha, scenarios, loss, draws, seed)
    rows = []
    for one in judged:
        if isinstance(one, Row):
            rows.append(one)
            continue
        needed = None if brief and len(drawn) > 1 else _needed([one], policy.alpha, draws, seed)
        rows.append(_row(one, single[id(one)], needed))
    names = (*scenarios, *([GIVEN] if loss is not None else []))
    overall = None
    if len(drawn) > 1:
        needed = _needed(drawn, policy.alpha, draws, seed)
        overall = Row("the gate", "", *_items(drawn), 0.0, 0.0, False, whole, needed)
    return Plan(base.label, tuple(rows), names, overall, rate, draws, policy.alpha)


def _questions(base: RunScores, policy: Policy) -> tuple[list[Question], list[str]]:
    """What the gate will judge, and why it cannot judge what it should."""
    found: list[Question] = []

    def note(questions: Sequence[Question], fail_on: FailOn, alpha: float) -> list[Any]:
        found.extend(questions)
        return []

    checks = gate_scores(base, base, policy, judge=note).checks
    return found, [check.message for check in checks if check.outcome == "inconclusive"]


def _populated(
    question: Question,
    base: RunScores,
    runs: Sequence[RunScores],
    flips: float | None,
    fail_on: FailOn,
    limit: float | None,
    seed: int,
) -> _Judged | Row:
    """A question with its populations, or the row that says why there are none."""
    row, margin = question.row, margin_of(question.rule, question.row)
    names = row.tasks or (row.task,)
    tasks = [base.tasks[name] for name in names]
    if row.reason:
        totals = tuple(max(task.n_total or 0, len(task.keys)) for task in tasks)
        n = sum(len(task.keys) for task in tasks)
        return Row(row.task, row.metric, n, sum(totals), margin, 0.0, row.is_share, reason=row.reason)
    keys = [row.metric if row.metric in task.series else task.primary for task in tasks]
    series = tuple(task.series[key] for task, key in zip(tasks, keys, strict=True))
    totals = tuple(max(task.n_total or 0, len(task.keys)) for task in tasks)
    items = tuple(
        _limited(limit, total) if limit is not None else len(task.keys)
        for task, total in zip(tasks, totals, strict=True)
    )

    def refused(reason: str) -> Row:
        return Row(row.task, row.metric, sum(items), sum(totals), margin, 0.0, row.is_share, reason=reason)

    if any(one.aggregate != MEAN for one in series):
        return refused("is no mean of its items, which is all that candidates are drawn of")
    if row.width is None:
        return refused("has no bounds, so that nothing is known of an unseen item")
    changes = []
    for task, key, one in zip(tasks, keys, series, strict=True):
        pairs = [
            (task, run.tasks[task.name])
            for run in runs
            if task.name in run.tasks and key in run.tasks[task.name].series
        ]
        if runs and not pairs:
            return refused("no earlier run has it")
        found = observed(pairs, key, row.width) if runs else assumed(one, flips or 0.0, row.width, seed, task.clusters)
        if not found.items:
            return refused("no earlier run shares its items")
        changes.append(found)
    weights = tuple(n / sum(totals) for n in totals) if row.level == "micro" else (1 / len(names),) * len(names)
    any_loss = (question.rule.fail_on or fail_on) == "any_loss"
    return _Judged(question, series, tuple(changes), items, totals, weights, margin, any_loss)


def _limited(limit: float, total: int) -> int:
    return math.ceil(limit * total) if limit < 1 else min(int(limit), total)


def _simulate(
    judged: Sequence[_Judged],
    alpha: float,
    scenarios: Mapping[str, float],
    loss: float | None,
    draws: int,
    seed: int,
) -> tuple[dict[int, dict[str, Odds]], dict[str, Odds]]:
    """Each question's odds, by its identity, and the whole gate's, by scenario."""
    single: dict[int, dict[str, Odds]] = {id(one): {} for one in judged}
    whole: dict[str, Odds] = {}
    asked: dict[str, Any] = {name: (lambda one, times=times: times * one.margin) for name, times in scenarios.items()}
    if loss is not None:
        asked[GIVEN] = lambda one: loss
    for name, lost in asked.items():
        outcomes = _outcomes(judged, alpha, [lost(one) for one in judged], draws, seed)
        for place, one in enumerate(judged):
            single[id(one)][name] = _odds([row[place] for row in outcomes])
        whole[name] = _odds([_together(row) for row in outcomes])
    return single, whole


def _outcomes(
    judged: Sequence[_Judged], alpha: float, losses: Sequence[float], draws: int, seed: int
) -> list[list[str | None]]:
    """What the gate shows of every question, one list a drawn candidate."""
    import numpy as np

    generator = np.random.default_rng(seed)
    shares = [sum(one.items) / sum(one.totals) for one in judged]
    found = []
    for _ in range(draws):
        drawn = [one.drawn(part, loss, generator) for one, part, loss in zip(judged, shares, losses, strict=True)]
        tests = holm([worse for _, worse in drawn], alpha / 2)
        found.append(
            [
                "regression" if one.any_loss and test.p_value <= alpha / 2
                else "pass" if passing <= alpha / 2
                else "regression" if test.p_value <= alpha / 2
                else None
                for one, (passing, _), test in zip(judged, drawn, tests, strict=True)
            ]
        )  # fmt: skip
    return found


def _together(outcomes: Sequence[str | None]) -> str | None:
    return "regression" if "regression" in outcomes else None if None in outcomes else "pass"


def _odds(outcomes: Sequence[str | None]) -> Odds:
    passed, worse = (sum(one == word for one in outcomes) / len(outcomes) for word in ("pass", "regression"))
    return Odds(passed, worse, 1 - passed - worse)


def _needed(judged: Sequence[_Judged], alpha: float, draws: int, seed: int) -> int | None:
    """The least items (over all tasks, in proportion to what there is) at which 80 % of unchanged candidates pass.

    A normal gain at a margin passes with the probability Phi(c sqrt(n) - z(1 - alpha/2)): each share of the items that
    is drawn gives a c, and with it the next one to draw. None where all items are not enough.
    """
    import numpy as np
    from scipy.stats import norm

    _, total = _items(judged)
    bar = float(norm.isf(alpha / 2))

    def passing(share: float) -> float:
        generator = np.random.default_rng(seed)
        found = sum(
            all(one.drawn(share, 0.0, generator, worse=False)[0] <= alpha / 2 for one in judged) for _ in range(draws)
        )
        return found / draws

    share, enough, least = 1.0, 0.0, 0.0
    for _ in range(SEARCHES):
        passed = passing(share)
        if passed >= POWER:
            enough = share
        elif share == 1.0:
            return None
        else:
            least = max(least, share)
        inside = min(max(passed, 0.5 / draws), 1 - 0.5 / draws)
        wanted = share * ((norm.ppf(POWER) + bar) / max(float(norm.ppf(inside)) + bar, 0.1)) ** 2
        share = min(max(float(wanted), 1.02 * least), 0.98 * enough)
        if enough - least < 0.04 * enough or share * total < 2:
            break
    return math.ceil(enough * total)


def _items(judged: Sequence[_Judged]) -> tuple[int, int]:
    """Items to be asked about, and items there are, of all tasks; a task that is judged twice counts once."""
    counts: dict[str, tuple[int, int]] = {}
    for one in judged:
        names = one.question.row.tasks or (one.question.row.task,)
        counts |= dict(zip(names, zip(one.items, one.totals, strict=True), strict=True))
    return sum(items for items, _ in counts.values()), sum(total for _, total in counts.values())


def _row(one: _Judged, odds: Mapping[str, Odds], needed: int | None) -> Row:
    row = one.question.row
    items = sum(changes.items for changes in one.changes)
    changed = sum(changes.rate * changes.items for changes in one.changes) / items
    return Row(row.task, row.metric, sum(one.items), sum(one.totals), one.margin, changed, row.is_share, odds, needed)
