"""Ratings of a set of models out of pairwise results: Bradley-Terry, with the looks of answers held equal if so asked,
and Elo.

Battles over one prompt are not independent: intervals come from a bootstrap that draws prompts. Where every draw is
alike (one model won all battles) that says nothing, so an interval is never narrower than the likelihood's own.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.contract.errors import UserError
from evalkit.judge.style import Control, Style, covariates
from evalkit.statistics.inference import LEVEL, Range

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Whole = NDArray[np.int64]

SCALE, BASE = 400.0, 1000.0
"""Elo's: 400 points are odds of ten to one; ratings are about 1000."""
K = 4.0
ORDERS = 32
"""Elo depends on the order of battles; it is averaged over so many shuffled ones."""
LEAST_BATTLES = 1000
RIDGE = 1 / 2.5**2
"""On a covariate's effect, for a typical difference of it: a normal prior of 2.5 (Gelman et al. 2008), which only
matters where covariates and verdicts go wholly together."""


@dataclass(frozen=True, slots=True)
class Battle:
    """``points``: 1 where ``a`` won, 0 where ``b`` did, a half for a tie. ``prompt`` names what both answered ("": not
    known); ``style`` is the looks of both answers.
    """

    a: str
    b: str
    points: float
    prompt: str = ""
    style: tuple[Style, Style] | None = None


@dataclass(frozen=True, slots=True)
class Rating:
    """A model's rating with its 95 % interval (None: not to be had), and its battles."""

    model: str
    rating: float
    interval: Range | None
    n: int


@dataclass(frozen=True, slots=True)
class Effect:
    """What a covariate does: log-odds a typical difference (root mean square), positive where more of it wins; its 95 %
    interval.
    """

    name: str
    value: float
    interval: Range | None


@dataclass(frozen=True, slots=True)
class Ratings:
    """Best first. ``clusters``: how many prompts were drawn from; 0 where battles were, for want of prompts.

    ``notes`` say what a reader must know. ``converged`` is False where Elo's updates were too few.
    """

    ratings: tuple[Rating, ...]
    effects: tuple[Effect, ...] = ()
    clusters: int = 0
    converged: bool = True
    notes: tuple[str, ...] = ()


def bradley_terry(
    battles: Sequence[Battle], seed: int = 1234, resamples: int = 400, controls: Sequence[Control] = ()
) -> Ratings:
    """Maximum likelihood of Bradley and Terry (1952) on Elo's scale, the mean at 1000.

    Half a win each way is added to every pair that met, so that a model that never lost has a finite rating. With
    ``controls`` the differences of style enter the regression (`judge.style`), and ratings are for answers that look
    alike. UserError where the models fall into groups that never met: their ratings could not be compared; and where
    a style is asked for that the battles lack.
    """
    import numpy as np

    _check(battles)
    names, table = _styles(battles, controls)
    models = sorted({name for battle in battles for name in (battle.a, battle.b)})
    design = _Design.of(battles, models, table)
    found, information = design.fit(np.ones(len(battles)))
    labels, clusters = _clusters(battles)
    generator = np.random.default_rng(seed)
    count = int(labels.max()) + 1

    def draw() -> Vector:
        times = np.bincount(generator.integers(0, count, count), minlength=count)
        return design.fit(times[labels].astype(float), found)[0]

    draws = np.array([draw() for _ in range(resamples)])
    errors = _standard_errors(information, len(models))
    points = SCALE / math.log(10)
    n = {model: sum(model in (battle.a, battle.b) for battle in battles) for model in models}
    rated = [
        Rating(
            model,
            BASE + points * float(found[place]),
            _moved(_widest(float(found[place]), draws[:, place], float(errors[place]), count), points, BASE),
            n[model],
        )
        for place, model in enumerate(models)
    ]
    effects = [
        Effect(name, float(found[place]), _widest(float(found[place]), draws[:, place], float(errors[place]), count))
        for place, name in enumerate(names, len(models))
    ]
    notes = [] if clusters else ["no prompts are given: battles are taken to be independent"]
    if missing := [name for name in _asked(controls) if name not in names]:
        notes.append(f"no difference in {', '.join(missing)} between any two answers: left out")
    return Ratings(_best_first(rated), tuple(effects), clusters, notes=tuple(notes))


def elo(battles: Sequence[Battle], seed: int = 1234, resamples: int = 200, k: float = K) -> Ratings:
    """Elo's running ratings, averaged over shuffled orders.

    A rating comes closer to its place by the share k ln(10) / 1600 with each battle of its model, so with few battles
    it has not arrived: below 1,000 battles, or where a model's battles close less than 95 % of the way, ``converged``
    is False and there are no intervals, for these would say how little it moved.
    """
    import numpy as np

    _check(battles)
    shuffler = random.Random(seed)
    models = sorted({name for battle in battles for name in (battle.a, battle.b)})
    n = {model: sum(model in (battle.a, battle.b) for battle in battles) for model in models}
    least = math.ceil(math.log(20) * 4 * SCALE / (k * math.log(10)))

    def run(found: Sequence[Battle]) -> list[float]:
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

    values = run(battles)
    labels, clusters = _clusters(battles)
    converged = len(battles) >= LEAST_BATTLES and min(n.values()) >= least
    notes: list[str] = []
    intervals: list[Range | None] = [None] * len(models)
    if not converged:
        notes.append(
            f"Elo has not converged: {len(battles):,} battles, at least {min(n.values()):,} a model, where it takes "
            f"about {LEAST_BATTLES:,} and {least:,} a model; ratings are too close together (take --by bradley-terry)"
        )
    elif resamples > 1:
        generator = np.random.default_rng(seed)
        count = int(labels.max()) + 1
        members = [np.flatnonzero(labels == one) for one in range(count)]
        draws = np.array(
            [
                run([battles[i] for one in generator.integers(0, count, count) for i in members[one]])
                for _ in range(resamples)
            ]
        )
        found = [_widest(value, draws[:, place], 0.0, count) for place, value in enumerate(values)]
        intervals = [one if one[0] < one[1] else None for one in found]
    if not clusters:
        notes.append("no prompts are given: battles are taken to be independent")
    rated = [Rating(model, values[place], intervals[place], n[model]) for place, model in enumerate(models)]
    return Ratings(_best_first(rated), (), clusters, converged, tuple(notes))


def _best_first(rated: Sequence[Rating]) -> tuple[Rating, ...]:
    return tuple(sorted(rated, key=lambda one: (-one.rating, one.model)))


def _asked(controls: Sequence[Control]) -> list[str]:
    return [*(["length"] if "length" in controls else []), *(["markdown"] if "markdown" in controls else [])]


def _styles(battles: Sequence[Battle], controls: Sequence[Control]) -> tuple[tuple[str, ...], Vector]:
    import numpy as np

    if not controls:
        return (), np.zeros((len(battles), 0))
    pairs = [battle.style for battle in battles]
    if any(pair is None for pair in pairs):
        bare = sum(pair is None for pair in pairs)
        raise UserError(f"ratings: {bare} battles have no answers to see their style in; give a and b (texts)")
    return covariates([pair for pair in pairs if pair is not None], controls)


def _clusters(battles: Sequence[Battle]) -> tuple[Whole, int]:
    """A cluster's number for every battle, and how many prompts there are; 0 where some battle names none."""
    import numpy as np

    if not all(battle.prompt for battle in battles):
        return np.arange(len(battles)), 0
    places = {prompt: place for place, prompt in enumerate(dict.fromkeys(battle.prompt for battle in battles))}
    return np.array([places[battle.prompt] for battle in battles]), len(places)


def _widest(value: float, draws: Vector, stderr: float, clusters: int) -> Range:
    """The bootstrap's percentile interval, or the likelihood's where that reaches further, for each end.

    A bootstrap of few clusters varies too little: its ends move out by Student's t over the normal, and by
    sqrt(G / (G - 1)).
    """
    import numpy as np
    from scipy.stats import norm, t

    normal = float(norm.ppf((1 + LEVEL) / 2))
    low = high = 0.0
    if len(draws) > 1 and clusters > 1:
        stretch = float(t.ppf((1 + LEVEL) / 2, clusters - 1)) / normal * math.sqrt(clusters / (clusters - 1))
        ends = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        low, high = (float(end - value) * stretch for end in ends)
    return value + min(low, -normal * stderr), value + max(high, normal * stderr)


def _moved(interval: Range, factor: float, base: float) -> Range:
    return base + factor * interval[0], base + factor * interval[1]


def _standard_errors(information: Vector, models: int) -> Vector:
    """Of each strength, less the mean of all, and of each covariate's effect."""
    import numpy as np

    variance = np.linalg.inv(information)
    centre = np.eye(len(information))
    centre[:models, :models] -= 1 / models
    return np.sqrt(np.maximum((centre @ variance @ centre.T).diagonal(), 0))


@dataclass(frozen=True, slots=True, eq=False)
class _Design:
    """Battles as a logistic regression: places of both models, points, and differences of style."""

    first: Whole
    second: Whole
    points: Vector
    table: Vector
    models: int

    @classmethod
    def of(cls, battles: Sequence[Battle], models: Sequence[str], table: Vector) -> _Design:
        """With a half win each way, of no style, for every pair that met: a tie that every fit counts once."""
        import numpy as np

        place = {model: index for index, model in enumerate(models)}
        met = sorted({tuple(sorted((place[battle.a], place[battle.b]))) for battle in battles})
        return cls(
            np.array([place[battle.a] for battle in battles] + [one for one, _ in met]),
            np.array([place[battle.b] for battle in battles] + [two for _, two in met]),
            np.array([battle.points for battle in battles] + [0.5] * len(met)),
            np.vstack([table, np.zeros((len(met), table.shape[1]))]),
            len(models),
        )

    def fit(self, weights: Vector, start: Vector | None = None) -> tuple[Vector, Vector]:
        """(strengths with mean 0 and effects, information) in log-odds, by Newton's method. ``weights``: of battles."""
        import numpy as np

        w = np.concatenate([weights, np.ones(len(self.points) - len(weights))])
        k, p = self.models, self.table.shape[1]
        beta = np.zeros(k + p) if start is None else start.copy()
        information = np.eye(k + p)
        for _ in range(100):
            logit = beta[self.first] - beta[self.second] + self.table @ beta[k:]
            chance = 1 / (1 + np.exp(-np.clip(logit, -700, 700)))
            gap, spread = w * (self.points - chance), w * chance * (1 - chance)
            slope = np.concatenate(
                [
                    np.bincount(self.first, gap, k) - np.bincount(self.second, gap, k),
                    self.table.T @ gap - RIDGE * beta[k:],
                ]
            )
            information = self._information(spread)
            step = np.clip(np.linalg.solve(information, slope), -1, 1)
            beta = beta + step
            beta[:k] -= beta[:k].mean()
            if np.abs(step).max() < 1e-9:
                break
        return beta, information

    def _information(self, spread: Vector) -> Vector:
        import numpy as np

        k, p = self.models, self.table.shape[1]
        between = np.bincount(self.first * k + self.second, spread, k * k).reshape(k, k)
        between = between + between.T
        found = np.empty((k + p, k + p))
        # Only differences of strengths count; the matrix of ones fixes their mean and changes nothing else.
        found[:k, :k] = np.diag(between.sum(axis=1)) - between + 1 / k
        for column in range(p):
            one = spread * self.table[:, column]
            found[:k, k + column] = np.bincount(self.first, one, k) - np.bincount(self.second, one, k)
        found[k:, :k] = found[:k, k:].T
        found[k:, k:] = (self.table * spread[:, None]).T @ self.table + RIDGE * np.eye(p)
        return found


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
