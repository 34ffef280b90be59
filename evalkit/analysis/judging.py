"""What a decision comes to at a margin, or an estimate at a floor: pass, a regression, or what is missing to tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evalkit.analysis.check import Check, Outcome
from evalkit.analysis.decision import Decision
from evalkit.analysis.policy import RELATIVE_MARGIN, SHARE_MARGIN, FailOn, Rule
from evalkit.statistics.inference import Inference
from evalkit.statistics.margins import items_needed, margin_enough, p_worse, shown_at
from evalkit.statistics.multiple import holm
from evalkit.text import numbers

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Question:
    """A decision that must be judged, by which rule; ``total``: the items there are to ask (None: not known);
    ``parts``: the tasks below it.
    """

    row: Decision
    rule: Rule
    total: int | None = None
    parts: tuple[Decision, ...] = ()
    totals: tuple[int | None, ...] = ()


def judge_margins(questions: Sequence[Question], fail_on: FailOn = "margin", alpha: float = ALPHA) -> list[Check]:
    """A check of every question, and after it one of every part.

    Passing needs every check to pass and needs no correction (an intersection-union test); one regression fails, so
    that these are corrected by Holm.
    """
    worse = {place: p_worse_of(one, fail_on) for place, one in enumerate(questions) if not one.row.reason}
    tests = dict(zip(worse, holm(list(worse.values()), alpha / 2), strict=True))
    checks = []
    for place, one in enumerate(questions):
        corrected, plain = (tests[place].p_value, worse[place]) if place in tests else (1.0, 1.0)
        checks += judge_question(one, fail_on, alpha, worse=corrected, plain=plain, tests=len(tests))
    return checks


def judge_question(
    one: Question,
    fail_on: FailOn = "margin",
    alpha: float = ALPHA,
    *,
    worse: float | None = None,
    plain: float = 0.0,
    tests: int = 1,
) -> list[Check]:
    """The check of a question (see `judge_margin`), and after it one of every part."""
    checks = [judge_margin(one, fail_on, alpha, worse=worse, plain=plain, tests=tests)]
    for part, total in zip(one.parts, one.totals, strict=True):
        own = judge_margin(Question(part, replace_metric(one.rule), total), fail_on, alpha)
        checks.append(replace(own, kind="part", message=f"part of {one.row.task}: {own.message}"))
    return checks


def replace_metric(rule: Rule) -> Rule:
    """The rule for a part: the same margin."""
    return Rule(margin=rule.margin, relative_margin=rule.relative_margin, fail_on=rule.fail_on)


def p_worse_of(one: Question, fail_on: FailOn) -> float:
    """The one-sided p-value of a regression, uncorrected."""
    any_loss = (one.rule.fail_on or fail_on) == "any_loss"
    return p_worse(one.row.gain, margin_of(one.rule, one.row), any_loss=any_loss)


def margin_of(rule: Rule, row: Decision) -> float:
    """The loss that is allowed, in the metric's own unit."""
    if rule.margin is not None:
        return rule.margin
    if rule.relative_margin is not None:
        return rule.relative_margin * abs(row.base or 0.0)
    return SHARE_MARGIN if row.is_share else RELATIVE_MARGIN * abs(row.base or 0.0)


def judge_margin(
    one: Question,
    fail_on: FailOn = "margin",
    alpha: float = ALPHA,
    *,
    worse: float | None = None,
    plain: float = 0.0,
    tests: int = 1,
) -> Check:
    """One decision at its margin, with one-sided tests at half of ``alpha``.

    ``worse``: the p-value of a regression, corrected over ``tests`` of them; ``plain``: uncorrected.
    """
    row, margin, share = one.row, margin_of(one.rule, one.row), one.row.is_share
    any_loss = (one.rule.fail_on or fail_on) == "any_loss"
    if row.reason:
        why = f"not judged: {row.reason}"
        return Check(
            "margin", row.task, row.metric, "inconclusive", why, row.base, row.candidate, row.difference.value,
            margin=margin, n=row.difference.n,
        )  # fmt: skip
    shown = shown_at(row.gain, margin, alpha / 2, any_loss=any_loss, worse=worse)
    outcome: Outcome = shown or "inconclusive"
    bounds = row.gain.interval(1 - alpha)
    if bounds is not None and not row.higher_is_better:
        bounds = (-bounds[1], -bounds[0])
    points = " points" if share else ""
    message = (
        f"difference {numbers.signed(row.difference.value or 0.0, share)}, {numbers.level(1 - alpha)} % interval "
        f"{numbers.interval(bounds, share, plus=True)}; allowed loss {numbers.score(margin, share)}{points}"
    )
    found = Check(
        "margin", row.task, row.metric, outcome, message, row.base, row.candidate, row.difference.value, bounds, margin,
        row.difference.n,
    )  # fmt: skip
    if outcome == "regression":
        how = "worse, and any loss fails" if any_loss else "worse by more than that"
        return replace(found, message=f"{message}; {how}")
    if outcome == "pass":
        return found
    words = _undecided(row, alpha)
    if worse is not None and plain <= alpha / 2 < worse:
        words = f"worse by more than that in this test alone, but not after the correction for {tests} of them"
    found = replace(found, message=f"{message}; {words}")
    return _with_items(found, row.gain, margin, row.width, one.total, alpha, share)


def _undecided(row: Decision, alpha: float) -> str:
    if row.gain.p_value(0.0, "less") <= alpha / 2:
        return "worse, by more than the margin or not: cannot tell"
    if row.verdict == "equal":
        return "equal on every item, which does not rule out a loss of the margin in others"
    return "no difference shown, and a loss of more than the margin not ruled out"


def _with_items(
    check: Check, gain: Inference, margin: float, width: float | None, total: int | None, alpha: float, share: bool
) -> Check:
    """How many items would tell, never more than there are; else the margin that all of them would be enough for."""
    n, stderr, bounds = gain.n, gain.stderr or 0.0, gain.interval(1 - alpha)
    if bounds is None:
        return replace(check, message=f"{check.message}; {n:,} items cannot tell")
    needed = items_needed(stderr, n, gain.value, margin, width=width, alpha=alpha)
    if needed is not None and (total is None or needed <= total):
        of = "" if total is None else f" of the {total:,} there are"
        return replace(
            check, message=f"{check.message}; {n:,} items cannot tell, about {needed:,}{of} would", items_needed=needed
        )
    if total is None:
        return replace(check, message=f"{check.message}; {n:,} items cannot tell")
    if n < total:
        enough = margin_enough(stderr, n, gain.value, max(total, n), width=width, alpha=alpha)
        words = f"{n:,} items cannot tell; all {total:,} there are would be enough for a margin of about"
    else:
        enough = max(-bounds[0], 0.0)
        words = f"{n:,} items, all there are, are enough for a margin of"
    words = f"{words} {numbers.score(_up(enough, share), share)}{' points' if share else ''}"
    return replace(check, message=f"{check.message}; {words}", margin_enough=enough)


def _up(value: float, share: bool) -> float:
    """Rounded up to what is shown."""
    return math.ceil(value * 1000 - 1e-9) / 1000 if share else value


def judge_floor(
    found: Inference | None,
    value: float | None,
    task: str,
    key: str,
    rule: Rule,
    *,
    higher: bool,
    share: bool = False,
    reason: str = "",
    total: int | None = None,
    width: float | None = None,
    alpha: float = ALPHA,
) -> Check:
    """The candidate's own value against a floor (a ceiling where lower is better): by its interval, or by itself.

    ``found`` is the inference on the value; None, with the ``reason``, where there is none.
    """
    floor = rule.floor or 0.0
    wanted = f"required {'at least' if higher else 'at most'} {numbers.score(floor, share)}"
    if value is None:
        return Check("floor", task, key, "regression", f"the candidate has no value, {wanted}", margin=floor)
    check = Check("floor", task, key, "pass", f"{numbers.score(value, share)}, {wanted}", None, value, margin=floor)
    if rule.floor_by == "value":
        fine = value >= floor if higher else value <= floor
        return check if fine else replace(check, outcome="regression")
    bounds = None if found is None else found.interval(1 - alpha)
    if found is None or bounds is None:
        why = reason or (found.reason if found else "")
        words = f"{check.message}; not judged: {why} (floor_by: value judges the number itself)"
        return replace(check, outcome="inconclusive", message=words)
    check = replace(check, interval=bounds, n=found.n,
                    message=f"{numbers.score(value, share)}, {numbers.level(1 - alpha)} % interval "
                            f"{numbers.interval(bounds, share)}, {wanted}")  # fmt: skip
    reached, missed = found.p_value(floor, "greater"), found.p_value(floor, "less")
    if not higher:
        reached, missed = missed, reached
    if reached <= alpha / 2:
        return check
    if missed <= alpha / 2:
        return replace(check, outcome="regression")
    distance = value - floor if higher else floor - value
    needed = items_needed(found.stderr or 0.0, found.n, distance, 0.0, width=width, alpha=alpha)
    if needed is None or (total is not None and needed > total):
        words = f"{found.n:,} items cannot tell" + ("" if total is None else f", nor would all {total:,} there are")
        return replace(check, outcome="inconclusive", message=f"{check.message}; {words}")
    return replace(check, outcome="inconclusive", items_needed=needed,
                   message=f"{check.message}; {found.n:,} items cannot tell, about {needed:,} would")  # fmt: skip
