"""Ratings of a set of models out of pairwise results: Bradley-Terry and Elo, with bootstrap intervals over battles."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.contract.errors import UserError

if TYPE_CHECKING:
    import numpy as np

SCALE, BASE = 400.0, 1000.0
"""Elo's: 400 points are odds of ten to one; ratings are about 1000."""
K = 4.0
ORDERS = 32
"""Elo depends on the order of battles; it is averaged over so many shuffled ones."""


@dataclass(frozen=True, slots=True)
class Battle:
    """``points``: 1 where ``a`` won, 0 where ``b`` did, a half for a tie."""

    a: str
    b: str
    points: float


@dataclass(frozen=True, slots=True)
class Rating:
    """A model's rating with its 95 % percentile interval, and its battles."""

    model: str
    rating: float
    interval: tuple[float, float] | None
    n: int


def bradley_terry(battles: Sequence[Battle], seed: int = 1234, resamples: int = 200) -> tuple[Rating, ...]:
    """Maximum likelihood of Bradley and Terry (1952) on Elo's scale, the mean at 1000, best first.

    Half a win each way is added to every pair that met, so that a model that never lost has a finite rating. UserError
    where the models fall into groups that never met: their ratings could not be compared.
    """
    _check(battles)
    return _rated(battles, _fit, seed, resamples)


def elo(battles: Sequence[Battle], seed: int = 1234, resamples: int = 200, k: float = K) -> tuple[Rating, ...]:
    """Elo's running ratings, averaged over shuffled orders, best first."""
    _check(battles)
    shuffler = random.Random(seed)

    def run(found: Sequence[Battle], models: Sequence[str]) -> list[float]:
        totals = dict.fromkeys(models, 0.0)
        for _ in range(ORDERS):
            ratings = dict.fromkeys(models, BASE)
            for battle in shuffler.sample(list(found), len(found)):
                expected = 1 / (1 + 10 ** ((ratings[battle.b] - ratings[battle.a]) / SCALE))
                step = k * (battle.points - expected)
                ratings[battle.a] += step
                ratings[battle.b] -= step
            for model in models:
                totals[model] += ratings[model] / ORDERS
        return [totals[model] for model in models]

    return _rated(battles, run, seed, resamples)


def _rated(
    battles: Sequence[Battle], fit: Callable[[Sequence[Battle], Sequence[str]], list[float]], seed: int, resamples: int
) -> tuple[Rating, ...]:
    import numpy as np

    models = sorted({name for battle in battles for name in (battle.a, battle.b)})
    values = fit(battles, models)
    generator = np.random.default_rng(seed)
    draws = np.array(
        [fit([battles[i] for i in generator.integers(0, len(battles), len(battles))], models) for _ in range(resamples)]
    )
    rated = []
    for place, model in enumerate(models):
        interval = None
        if resamples > 1 and len(battles) > 1:
            low, high = np.quantile(draws[:, place], [0.025, 0.975])
            interval = (float(low), float(high))
        n = sum(model in (battle.a, battle.b) for battle in battles)
        rated.append(Rating(model, values[place], interval, n))
    return tuple(sorted(rated, key=lambda one: (-one.rating, one.model)))


def _fit(battles: Sequence[Battle], models: Sequence[str]) -> list[float]:
    """Hunter's minorisation-maximisation (2004) on the table of wins."""
    import numpy as np

    wins = _wins(battles, models)
    met = wins + wins.T
    strengths = np.ones(len(models))
    for _ in range(10_000):
        sums = (met / (strengths[:, None] + strengths[None, :])).sum(axis=1)
        # In a resample a model may have no battle at all: it keeps the mean.
        updated = np.where(sums > 0, wins.sum(axis=1) / np.where(sums > 0, sums, 1), strengths)
        updated /= np.exp(np.mean(np.log(updated)))
        done = np.max(np.abs(np.log(updated / strengths))) < 1e-10
        strengths = updated
        if done:
            break
    return [float(value) for value in BASE + SCALE * np.log10(strengths)]


def _wins(battles: Sequence[Battle], models: Sequence[str]) -> np.ndarray:
    import numpy as np

    place: Mapping[str, int] = {model: index for index, model in enumerate(models)}
    wins = np.zeros((len(models), len(models)))
    for battle in battles:
        wins[place[battle.a], place[battle.b]] += battle.points
        wins[place[battle.b], place[battle.a]] += 1 - battle.points
    met = (wins + wins.T) > 0
    wins[met] += 0.5
    return wins


def _check(battles: Sequence[Battle]) -> None:
    if not battles:
        raise UserError("ratings: there are no battles")
    for battle in battles:
        if battle.a == battle.b or not 0 <= battle.points <= 1:
            raise UserError(f"ratings: {battle.a} against {battle.b} with {battle.points} points is no battle")
    neighbours: dict[str, set[str]] = {}
    for battle in battles:
        neighbours.setdefault(battle.a, set()).add(battle.b)
        neighbours.setdefault(battle.b, set()).add(battle.a)
    reached, ahead = set[str](), [battles[0].a]
    while ahead:
        model = ahead.pop()
        if model not in reached:
            reached.add(model)
            ahead += neighbours[model]
    if apart := sorted(set(neighbours) - reached):
        raise UserError(f"ratings: {', '.join(apart)} never met the others; add battles between them")
