"""What a judge of pairs does beside judging: a taste for the first place, ties, contradictions, a taste for length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.judge.asking import Row
from evalkit.judge.ratings import Effect
from evalkit.judge.style import covariates, fit_logistic, half_widths, style_of
from evalkit.statistics.choice import interval_for
from evalkit.statistics.inference import Range


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its 95 % interval over questions, of ``n``."""

    value: float
    interval: Range | None
    n: int


@dataclass(frozen=True, slots=True)
class Habits:
    """``first_place``: of verdicts that name a winner, those that name the answer shown first (0.5 without a taste
    for a place). ``contradictions``: pairs whose two orders give different verdicts; ``turned``: pairs that go to the
    same place both times. ``ties``: verdicts that say tie; ``drawn``: pairs without a winner, contradictions included.
    ``longer``: pairs with a winner and unequal lengths that the longer answer wins. None where there is none to count.

    ``place`` and ``length``: what the first place, and a typical difference of lengths (root mean square of
    `style.covariates`), add to the log-odds of a verdict, both and the models' strengths held against each other in one
    logistic regression over single verdicts, with 95 % intervals over questions; None where the fit says nothing.
    """

    pairs: int
    first_place: Share | None
    contradictions: Share | None
    turned: Share | None
    ties: Share | None
    drawn: Share | None
    longer: Share | None
    place: Effect | None = None
    length: Effect | None = None


def habits_of(judged: Sequence[Row]) -> Habits:
    """Of judged pairs: rows {"prompt", "forward", "backward", "points", "a", "b"}."""
    first: list[tuple[str, bool]] = []
    ties: list[tuple[str, bool]] = []
    contradictions: list[tuple[str, bool]] = []
    turned: list[tuple[str, bool]] = []
    drawn: list[tuple[str, bool]] = []
    longer: list[tuple[str, bool]] = []
    for row in judged:
        prompt, forward, backward = row["prompt"], row["forward"], row["backward"]
        for verdict, shown in ((forward, "a"), (backward, "b")):
            if verdict is not None:
                ties.append((prompt, verdict == "tie"))
            if verdict in ("a", "b"):
                first.append((prompt, verdict == shown))
        if forward is None or backward is None:
            continue
        contradictions.append((prompt, forward != backward))
        turned.append((prompt, (forward, backward) in (("a", "b"), ("b", "a"))))
        drawn.append((prompt, row["points"] == 0.5))
        difference = len(row["a"]) - len(row["b"])
        if row["points"] != 0.5 and difference:
            longer.append((prompt, (row["points"] == 1.0) == (difference > 0)))
    effects = _effects(judged)
    return Habits(
        pairs=len(judged),
        first_place=_share(first),
        contradictions=_share(contradictions),
        turned=_share(turned),
        ties=_share(ties),
        drawn=_share(drawn),
        longer=_share(longer),
        place=effects["place"],
        length=effects["length"],
    )


def _effects(judged: Sequence[Row]) -> dict[str, Effect | None]:
    """Of the verdicts as they were given, the first answer against the second."""
    import numpy as np

    shown = [
        (row["prompt"], (row[f"model_{one}"], row[f"model_{two}"]), (row[one], row[two]), _first(verdict, one))
        for row in judged
        for verdict, one, two in ((row["forward"], "a", "b"), (row["backward"], "b", "a"))
        if verdict is not None
    ]
    found: dict[str, Effect | None] = {"place": None, "length": None}
    y = np.array([points for *_, points in shown])
    if len(y) < 4 or (y == y[0]).all():
        return found
    names, looks = covariates([(style_of(one), style_of(two)) for _, _, (one, two), _ in shown], ("length",))
    models = list(dict.fromkeys(model for _, pair, _, _ in shown for model in pair))
    strengths = np.zeros((len(y), len(models)))
    for place, (_, (one, two), _, _) in enumerate(shown):
        strengths[place, models.index(one)] += 1
        strengths[place, models.index(two)] -= 1
    x = np.column_stack([np.ones(len(y)), looks, strengths[:, 1:]])
    beta = fit_logistic(x, y) if np.linalg.matrix_rank(x) == x.shape[1] else None
    if beta is None:
        return found
    half = half_widths(x, y, beta, [prompt for prompt, *_ in shown])
    for column, name in enumerate(("place", *names)):
        value, wide = float(beta[column]), None if half is None else float(half[column])
        found[name] = Effect(name, value, None if wide is None else (value - wide, value + wide))
    return found


def _first(verdict: str, shown: str) -> float:
    return 0.5 if verdict == "tie" else float(verdict == shown)


def _share(found: Sequence[tuple[str, bool]]) -> Share | None:
    if not found:
        return None
    values = [float(one) for _, one in found]
    prompts: Any = [prompt for prompt, _ in found]
    several = len(set(prompts)) < len(prompts)
    interval = interval_for(values, bounds=(0.0, 1.0), binary=not several, clusters=prompts if several else None)
    return Share(sum(values) / len(values), interval.interval(), len(values))
