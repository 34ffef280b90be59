"""The study of a cascade: scorers and policies from one half of a table of items, what is reported from the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evalkit.backends.answer_scorer import Answered, Scorer
from evalkit.contract.errors import UserError
from evalkit.routing.training import Held, Trained, held_out, train
from evalkit.statistics import routing
from evalkit.statistics.choice import interval_for
from evalkit.statistics.routing import Chosen, Estimate, Policy, Table

if TYPE_CHECKING:
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

POINTS = 12
"""Budgets along the curve."""


@dataclass(frozen=True, eq=False)
class Items:
    """Items that every model answered. ``answers`` by model; the matrices have the shape [items, models]."""

    models: tuple[str, ...]
    keys: tuple[tuple[str, str], ...]
    """Of each item the task, and the document's hash."""
    answers: Mapping[str, Sequence[Answered]]
    quality: Matrix
    cost: Matrix
    deciding: Matrix
    """What it costs to have the model score its own reply."""
    left_out: int = 0
    """Items that some model did not answer, or that have no score."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """The task of each item."""
        return tuple(task for task, _ in self.keys)

    def __len__(self) -> int:
        return len(self.quality)

    def table(self, places: npt.NDArray[np.int64], scores: Matrix) -> Table:
        """Some of the items with their scores."""
        return Table(self.quality[places], self.cost[places], scores, self.deciding[places])


@dataclass(frozen=True, slots=True)
class Point:
    """A policy chosen for a ``budget`` (mean cost an item) on the training items, and what it did on the others."""

    budget: float
    policy: Policy
    trained_quality: float
    trained_cost: float
    quality: Estimate
    cost: Estimate
    gain: Estimate
    """Quality above the best model alone (the best on the training items), on the same items."""
    share: tuple[float, ...]
    """Of the items, answered by each model of the policy."""


@dataclass(frozen=True, slots=True)
class Alone:
    """One model alone on the test items."""

    model: str
    quality: Estimate
    cost: Estimate


@dataclass(frozen=True)
class Study:
    """Everything that was found. Costs are a mean an item, in the currency of the prices."""

    models: tuple[str, ...]
    tasks: tuple[str, ...]
    n_train: int
    n_test: int
    left_out: int
    seed: int
    best: str
    """The best model alone on the training items."""
    alone: tuple[Alone, ...]
    curve: tuple[Point, ...]
    matched: Point | None
    """The cheapest policy that is as good as the best model alone on the training items."""
    saving: Estimate | None
    """Of ``matched``: the share of the best model's cost that it saves."""
    oracle: Estimate
    """The best answer of any model to each item: no cascade can be better."""
    scorers: Mapping[str, Held]
    scorer: Scorer
    tested: tuple[tuple[str, str], ...]
    """The keys of the items that were reported on."""


def study(items: Items, budgets: Sequence[float] = (), test_share: float = 0.5, seed: int = 1234) -> Study:
    """``budgets``: mean costs an item beside those of the curve. Raises UserError for fewer than two models and for too
    few items.
    """
    if len(items.models) < 2:
        raise UserError("a cascade needs at least two models: name them under models:")
    inside, outside = split(items.tasks, test_share, seed)
    if not len(outside):
        raise UserError("no item is left to report on: raise test_share, or limit")
    trained = _scorers(items, inside, seed)
    table = items.table(inside, np.stack([trained[name].scores for name in items.models], axis=1))
    test = _tested(items, outside, trained)
    policies = routing.tried(table)
    alone = [one for one in policies if len(one.policy.order) == 1]
    best = max(alone, key=lambda one: (one.quality, -one.cost))
    measure = _Measure(test, best.policy.order[0], seed)
    matched = routing.cheapest_as_good(policies, best.quality)
    return Study(
        models=items.models,
        tasks=tuple(dict.fromkeys(items.tasks)),
        n_train=len(inside),
        n_test=len(outside),
        left_out=items.left_out,
        seed=seed,
        best=items.models[best.policy.order[0]],
        alone=tuple(measure.alone(number, name) for number, name in enumerate(items.models)),
        curve=tuple(_curve(policies, budgets, measure)),
        matched=None if matched is None else measure.point(matched, matched.cost),
        saving=None if matched is None else measure.saving(matched),
        oracle=_rightness(routing.estimates([test.quality.max(axis=1)], seed)[0], test.quality.max(axis=1)),
        scorers={
            name: held_out(test.score[:, number], test.quality[:, number], _confidence(items, name, outside))
            for number, name in enumerate(items.models)
        },
        scorer=Scorer(stages=tuple(trained[name].scorer for name in items.models)),
        tested=tuple(items.keys[place] for place in outside),
    )


def split(tasks: Sequence[str], test_share: float, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Items to train on and to report on: of each task the same share, drawn by ``seed``."""
    generator = np.random.default_rng(seed)
    names = np.array(tasks)
    inside, outside = [], []
    for task in dict.fromkeys(tasks):
        places = generator.permutation(np.flatnonzero(names == task))
        count = round(test_share * len(places))
        outside.append(places[:count])
        inside.append(places[count:])
    return np.sort(np.concatenate(inside)), np.sort(np.concatenate(outside))


def _scorers(items: Items, inside: npt.NDArray[np.int64], seed: int) -> dict[str, Trained]:
    return {
        name: train(name, [items.answers[name][place] for place in inside], items.quality[inside, number], seed)
        for number, name in enumerate(items.models)
    }


def _tested(items: Items, outside: npt.NDArray[np.int64], trained: Mapping[str, Trained]) -> Table:
    scores = [trained[name].scorer.scores([items.answers[name][place] for place in outside]) for name in items.models]
    return items.table(outside, np.stack(scores, axis=1))


def _confidence(items: Items, name: str, places: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.array([-np.inf if (one := items.answers[name][place]).failed else one.facts[0] for place in places])


def _curve(policies: Sequence[Chosen], budgets: Sequence[float], measure: _Measure) -> list[Point]:
    """A point for each budget from the cheapest policy's to the dearest of the front, evenly by their logarithms."""
    front = routing.front(policies)
    low, high = front[0].cost, front[-1].cost
    steps = np.geomspace(low, high, POINTS) if 0 < low < high else np.linspace(low, high, POINTS)
    found: dict[Policy, Point] = {}
    for budget in sorted({*map(float, steps), *budgets}):
        chosen = routing.best_within(policies, budget)
        if chosen is not None and (chosen.policy not in found or budget in budgets):
            found[chosen.policy] = measure.point(chosen, budget)
    return list(found.values())


def _rightness(found: Estimate, values: npt.NDArray[np.float64]) -> Estimate:
    """The estimate of a mean quality. Where all items or none are right, resampling finds no width: the interval is
    then that of a share of so many items."""
    if found.interval[0] < found.interval[1] or found.value not in (0.0, 1.0):
        return found
    interval = interval_for(values, bounds=(0.0, 1.0), binary=True).interval()
    return found if interval is None else Estimate(found.value, interval)


class _Measure:
    """Policies on the test items, beside the model ``best``."""

    def __init__(self, test: Table, best: int, seed: int) -> None:
        self._test = test
        self._best = best
        self._seed = seed

    def point(self, chosen: Chosen, budget: float) -> Point:
        done = routing.route(self._test, chosen.policy)
        gain = done.quality - self._test.quality[:, self._best]
        quality, cost, above = routing.estimates([done.quality, done.cost, gain], self._seed)
        counts = np.bincount(done.stage, minlength=len(chosen.policy.order))
        share = tuple(float(one) / len(done.stage) for one in counts)
        quality = _rightness(quality, done.quality)
        return Point(budget, chosen.policy, chosen.quality, chosen.cost, quality, cost, above, share)

    def alone(self, number: int, name: str) -> Alone:
        quality, cost = routing.estimates([self._test.quality[:, number], self._test.cost[:, number]], self._seed)
        return Alone(name, _rightness(quality, self._test.quality[:, number]), cost)

    def saving(self, chosen: Chosen) -> Estimate | None:
        """None where the best model costs nothing."""
        done = routing.route(self._test, chosen.policy)
        return routing.saving(done.cost, self._test.cost[:, self._best], self._seed)
