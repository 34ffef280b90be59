"""Pairs of answers: which is better, asked in both orders, so that a taste for the first place shows instead of
counting.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evalkit.judge.agreement import Agreement, agreement
from evalkit.judge.asking import Judge, Row, require, verdict
from evalkit.judge.prompts import PAIRWISE
from evalkit.statistics.choice import interval_for
from evalkit.statistics.shares import share_interval

Winner = Literal["a", "b", "tie"]


@dataclass(frozen=True, slots=True)
class Judged:
    """One pair. ``forward`` and ``backward`` are the verdicts with a and with b in the first place, in terms of a and b
    (None: unparsed or failed). ``winner``: what both say; a tie where they contradict each other; None where one is
    missing.
    """

    forward: Winner | None
    backward: Winner | None

    @property
    def winner(self) -> Winner | None:
        if self.forward is None or self.backward is None:
            return None
        return self.forward if self.forward == self.backward else "tie"

    @property
    def points(self) -> float | None:
        """1 where a wins, 0 where b does, a half for ties."""
        return None if self.winner is None else {"a": 1.0, "b": 0.0, "tie": 0.5}[self.winner]


@dataclass(frozen=True, slots=True)
class Pairwise:
    """The outcome over all pairs. ``win_rate`` is a's, ties as halves, with the score interval of a bounded mean.

    ``first_place``: among verdicts that name a winner, the share that name the answer in the first place (0.5 without
    bias; `statistics.shares`). ``consistency``: the share of pairs with the same verdict in both orders.
    ``length_controlled``: a's win rate at equal lengths, by a logistic regression on the difference of lengths (after
    Dubois et al. 2024, arXiv 2404.04475); None where it cannot be fitted.
    """

    judged: tuple[Judged, ...]
    win_rate: float | None
    win_rate_interval: tuple[float, float] | None
    first_place: float | None
    first_place_interval: tuple[float, float] | None
    consistency: float | None
    length_controlled: float | None
    n_unparsed: int
    human: Agreement | None
    record: dict[str, Any]


def judge_pairs(judge: Judge, rows: Sequence[Row], template: str = PAIRWISE, where: str = "pairs") -> Pairwise:
    """Judge rows {"question", "a", "b"}, with an optional "reference" and a person's verdict "human" (a, b, tie)."""
    require(rows, ("question", "a", "b"), where)
    asked = []
    for row in rows:
        for first, second in (("a", "b"), ("b", "a")):
            asked.append(
                {
                    "question": row["question"],
                    "reference": row.get("reference") or "",
                    "first": row[first],
                    "second": row[second],
                }
            )
    replies = judge.ask("pairwise", template, asked)
    letters = [verdict(reply, ("A", "B", "C")) for reply in replies]
    judged = tuple(
        Judged(_winner(letters[place], "a", "b"), _winner(letters[place + 1], "b", "a"))
        for place in range(0, len(letters), 2)
    )
    return _summary(judged, rows, letters, judge.record())


def _winner(letter: str | None, first: Winner, second: Winner) -> Winner | None:
    return {"A": first, "B": second, "C": "tie"}[letter] if letter is not None else None  # type: ignore[return-value]


def _summary(
    judged: tuple[Judged, ...], rows: Sequence[Row], letters: Sequence[str | None], record: dict[str, Any]
) -> Pairwise:
    points = [one.points for one in judged if one.points is not None]
    rate = sum(points) / len(points) if points else None
    decisive = [letter for letter in letters if letter in ("A", "B")]
    first = decisive.count("A")
    parsed = [one for one in judged if one.winner is not None]
    people = [(row.get("human"), one.winner) for row, one in zip(rows, judged, strict=True)]
    labelled = [(human, machine) for human, machine in people if human in ("a", "b", "tie") and machine is not None]
    return Pairwise(
        judged=judged,
        win_rate=rate,
        win_rate_interval=interval_for(points, bounds=(0.0, 1.0)).interval() if points else None,
        first_place=first / len(decisive) if decisive else None,
        first_place_interval=share_interval(first, len(decisive)) if decisive else None,
        consistency=sum(one.forward == one.backward for one in parsed) / len(parsed) if parsed else None,
        length_controlled=length_controlled(rows, judged),
        n_unparsed=sum(one.winner is None for one in judged),
        human=agreement([str(h) for h, _ in labelled], [str(m) for _, m in labelled]) if labelled else None,
        record=record,
    )


def length_controlled(rows: Sequence[Row], judged: Sequence[Judged]) -> float | None:
    """a's win rate where both answers are equally long: the regression's intercept, as a probability."""
    pairs = [
        (len(row["a"]) - len(row["b"]), one.points)
        for row, one in zip(rows, judged, strict=True)
        if one.points is not None
    ]
    differences = [difference for difference, _ in pairs]
    if len(pairs) < 4 or len(set(differences)) < 2:
        return None
    import numpy as np
    import statsmodels.api as sm

    scale = float(np.std(differences))
    lengths = np.tanh(np.array(differences) / scale)
    points = np.array([point for _, point in pairs])
    if len(set(points.tolist())) < 2:
        return float(points[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            fit = sm.GLM(points, sm.add_constant(lengths), family=sm.families.Binomial()).fit()
        except Exception:  # lengths and verdicts go wholly together, and nothing can be said at equal lengths
            return None
    return 1 / (1 + math.exp(-float(fit.params[0])))
