"""Which of several answers to take, and at what cost: cascades over a table of items (FrugalGPT, Chen et al. 2023,
arXiv 2305.05176, section 3, "LLM cascade").

A policy is an order of models and a threshold for each but the last. An item is asked of the first; where the score of
its answer is at least the threshold, that answer is taken, else the next model is asked, and all that were asked are
paid. Orders and thresholds are tried out exhaustively: thresholds between the observed scores change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from evalkit.statistics.intervals import LEVEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Vector = NDArray[np.float64]
    Whole = NDArray[np.int64]

STEPS = 40
"""Thresholds of each model that are tried: quantiles of its scores."""
LONGEST = 3
"""Models in a policy, as in the paper: a fourth would be asked too rarely for its threshold to be learnt."""
RESAMPLES = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Items by models, all [items, models]: how good an answer is (0 to 1), what it costs, how good the scorer
    takes it for, and what it costs to find that out, which the last model of a policy is spared.
    """

    quality: Matrix
    cost: Matrix
    score: Matrix
    deciding: Matrix

    def __len__(self) -> int:
        return len(self.quality)

    def take(self, places: Whole) -> Table:
        """Some of the items."""
        return Table(self.quality[places], self.cost[places], self.score[places], self.deciding[places])


@dataclass(frozen=True, slots=True)
class Policy:
    """Models by their columns, and a threshold for each but the last."""

    order: tuple[int, ...]
    thresholds: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Chosen:
    """A policy with its mean quality and mean cost on the items that it was chosen on."""

    policy: Policy
    quality: float
    cost: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and its 95 % interval (percentile bootstrap over items)."""

    value: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Routed:
    """What a policy does: of each item the quality and the cost, and the place in the policy of the model that
    answered.
    """

    quality: Vector
    cost: Vector
    stage: Whole


def route(table: Table, policy: Policy) -> Routed:
    """Each item by ``policy``."""
    n = len(table)
    open_items = np.ones(n, dtype=bool)
    quality, cost, stage = np.zeros(n), np.zeros(n), np.zeros(n, dtype=np.int64)
    for place, model in enumerate(policy.order):
        last = place == len(policy.order) - 1
        cost[open_items] += table.cost[open_items, model]
        if not last:
            cost[open_items] += table.deciding[open_items, model]
        sure = open_items if last else open_items & (table.score[:, model] >= policy.thresholds[place])
        quality[sure], stage[sure] = table.quality[sure, model], place
        open_items = open_items & ~sure
    return Routed(quality, cost, stage)


def tried(table: Table, steps: int = STEPS, longest: int = LONGEST) -> list[Chosen]:
    """Every policy of at most ``longest`` models over ``steps`` thresholds each, with its means on ``table``."""
    models = table.quality.shape[1]
    found = [
        Chosen(Policy((one,)), float(table.quality[:, one].mean()), float(table.cost[:, one].mean()))
        for one in range(models)
    ]
    grids = [_grid(table.score[:, one], steps) for one in range(models)]
    for count in range(2, min(models, longest) + 1):
        for order in permutations(range(models), count):
            found += _of_order(table, order, grids)
    return found


def _grid(scores: Vector, steps: int) -> Vector:
    """Quantiles of the scores. To take all of a model's answers, or none, is a shorter policy's."""
    return np.unique(np.quantile(scores, np.linspace(0, 1, steps + 1)[1:], method="higher"))


def _of_order(table: Table, order: Sequence[int], grids: Sequence[Vector]) -> Iterator[Chosen]:
    """All thresholds of one order at once: the last two models are a matrix product, an earlier one a loop."""
    head, tail = order[:-2], order[-2:]
    whole = table.cost + table.deciding
    for before in _heads(head, grids):
        passed = np.ones(len(table), dtype=bool)
        quality = cost = 0.0
        for model, threshold in zip(head, before, strict=True):
            cost += float(whole[passed, model].sum())
            taken = passed & (table.score[:, model] >= threshold)
            quality += float(table.quality[taken, model].sum())
            passed = passed & ~taken
        first, second = tail
        own = table.score[passed, first]
        grid = grids[first]
        on = own[None, :] < grid[:, None]
        n = len(table)
        qualities = (quality + (~on) @ table.quality[passed, first] + on @ table.quality[passed, second]) / n
        costs = (cost + whole[passed, first].sum() + on @ table.cost[passed, second]) / n
        for threshold, good, paid in zip(grid, qualities, costs, strict=True):
            yield Chosen(Policy(tuple(order), (*before, float(threshold))), float(good), float(paid))


def _heads(models: Sequence[int], grids: Sequence[Vector]) -> Iterator[tuple[float, ...]]:
    if not models:
        yield ()
        return
    for threshold in grids[models[0]]:
        for rest in _heads(models[1:], grids):
            yield (float(threshold), *rest)


def best_within(policies: Sequence[Chosen], budget: float) -> Chosen | None:
    """The policy of the best mean quality whose mean cost is at most ``budget``, the cheapest and shortest of equals;
    None where even the cheapest costs more.
    """
    inside = [one for one in policies if one.cost <= budget * (1 + 1e-12)]
    return min(inside, key=lambda one: (-one.quality, one.cost, len(one.policy.order)), default=None)


def cheapest_as_good(policies: Sequence[Chosen], quality: float) -> Chosen | None:
    """The cheapest policy whose mean quality is at least ``quality``; None where there is none."""
    enough = [one for one in policies if one.quality >= quality - 1e-12]
    return min(enough, key=lambda one: (one.cost, -one.quality, len(one.policy.order)), default=None)


def front(policies: Sequence[Chosen]) -> list[Chosen]:
    """The policies that none beats at both, by rising cost."""
    found: list[Chosen] = []
    for one in sorted(policies, key=lambda one: (one.cost, -one.quality, len(one.policy.order))):
        if not found or one.quality > found[-1].quality + 1e-12:
            found.append(one)
    return found


def estimates(columns: Sequence[Vector], seed: int, resamples: int = RESAMPLES) -> list[Estimate]:
    """The mean of each of ``columns`` with its interval; items are drawn together for all of them, so that the
    intervals of columns and of their differences are of the same draws. At least one item.
    """
    values = np.stack(columns)
    means = _draws(values.shape[1], seed, resamples) @ values.T / values.shape[1]
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return [Estimate(float(row.mean()), (float(a), float(b))) for row, a, b in zip(values, low, high, strict=True)]


def saving(paid: Vector, whole: Vector, seed: int, resamples: int = RESAMPLES) -> Estimate | None:
    """The share of ``whole`` that ``paid`` saves, both of the same items; None where ``whole`` is nothing."""
    if whole.sum() <= 0:
        return None
    counts = _draws(len(paid), seed, resamples)
    sums = counts @ whole
    shares = 1 - (counts @ paid)[sums > 0] / sums[sums > 0]
    low, high = np.quantile(shares, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(1 - paid.sum() / whole.sum()), (float(low), float(high)))


def _draws(n: int, seed: int, resamples: int) -> Whole:
    """How often each of n items is drawn, [resamples, n]."""
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
