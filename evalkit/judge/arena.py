"""An arena from stored answers: which two models to judge next on which question, so that the ratings say most.

Battles are taken one by one by how much each lowers the sum of the ratings' variances (A-optimality): of the covariance
S of the strengths, a battle of two models with the difference d of their places and the weight w = p (1 - p) takes away
w |S d|^2 / (1 + w d' S d), by the update of an inverse of rank one. Chatbot Arena samples by the same idea, pair by
pair (Chiang et al. 2024, arXiv 2403.04132, section 5). Between rounds p and S come from the verdicts so far.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from evalkit.contract.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

PRIOR_SD = 1.5
"""Log-odds: what is held of a model's strength before any battle. It fades with battles and never enters a rating."""
ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Match:
    """Two models by their places, and what both answered."""

    a: int
    b: int
    question: str


Points = Mapping[Match, float | None]
"""1 where a won, 0 where b did, a half for ties; None: no verdict."""


def choose(
    questions: Mapping[tuple[int, int], Sequence[str]],
    models: int,
    budget: int,
    judge: Callable[[Sequence[Match]], Sequence[float | None]],
    seed: int = 1234,
) -> Points:
    """Judge at most ``budget`` matches, in up to eight rounds. ``questions``: by pair of models (a < b), those that
    both answered. UserError for a budget that cannot join all models.
    """
    if budget < models - 1:
        raise UserError(f"--battles {budget}: {models} models take at least {models - 1} battles to be compared")
    rng = random.Random(seed)
    # Each pair's questions in an order of its own; those that few battles have used go first.
    left = {pair: rng.sample(list(found), len(found)) for pair, found in questions.items()}
    used: dict[str, int] = {}
    points: dict[Match, float | None] = {}
    budget = min(budget, sum(map(len, left.values())))
    size = math.ceil(budget / ROUNDS)
    while len(points) < budget:
        strengths, covariance = fitted(points, models)
        batch: list[Match] = []
        while len(batch) < min(size, budget - len(points)):
            pair = _best(strengths, covariance, [one for one, found in left.items() if found])
            question = min(left[pair], key=lambda one: used.get(one, 0))
            left[pair].remove(question)
            used[question] = used.get(question, 0) + 1
            batch.append(Match(*pair, question))
            covariance = _after(covariance, pair, _weight(strengths, pair))
        points |= dict(zip(batch, judge(batch), strict=True))
    return points


def fitted(points: Points, models: int) -> tuple[Matrix, Matrix]:
    """Strengths in log-odds and their covariance, by Bradley and Terry's model with a normal prior."""
    import numpy as np

    known = [(match.a, match.b, value) for match, value in points.items() if value is not None]
    x = np.zeros((len(known), models))
    for row, (a, b, _) in enumerate(known):
        x[row, a], x[row, b] = 1.0, -1.0
    y = np.array([value for *_, value in known])
    prior = np.eye(models) / PRIOR_SD**2
    beta = np.zeros(models)
    information = prior
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ beta))
        information = (x * (p * (1 - p))[:, None]).T @ x + prior
        step = np.linalg.solve(information, x.T @ (y - p) - prior @ beta)
        beta = beta + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-9:
            break
    covariance: Matrix = np.asarray(np.linalg.inv(information), dtype=float)
    return np.asarray(beta, dtype=float), covariance


def _weight(strengths: Matrix, pair: tuple[int, int]) -> float:
    p = 1 / (1 + math.exp(-float(strengths[pair[0]] - strengths[pair[1]])))
    return p * (1 - p)


def _gain(covariance: Matrix, pair: tuple[int, int], weight: float) -> float:
    spread = covariance[:, pair[0]] - covariance[:, pair[1]]
    return weight * float(spread @ spread) / (1 + weight * float(spread[pair[0]] - spread[pair[1]]))


def _after(covariance: Matrix, pair: tuple[int, int], weight: float) -> Matrix:
    import numpy as np

    spread = covariance[:, pair[0]] - covariance[:, pair[1]]
    return covariance - weight * np.outer(spread, spread) / (1 + weight * float(spread[pair[0]] - spread[pair[1]]))


def _best(strengths: Matrix, covariance: Matrix, pairs: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return max(pairs, key=lambda pair: (_gain(covariance, pair, _weight(strengths, pair)), (-pair[0], -pair[1])))


def all_pairs(models: int) -> list[tuple[int, int]]:
    """Every two models, by their places."""
    return list(combinations(range(models), 2))
