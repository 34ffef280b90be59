"""Work units: the sorted rows of a run, cut into pieces that can be computed apart.

Rows in sorted order share prefixes with their neighbours (`evalkit.engine.plan`). A cut before a row costs exactly the
tokens that it shares with the row before it, which are then computed once more; so cuts are made where little is
shared, which keeps prefix groups whole wherever a group is not itself larger than a unit should be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from evalkit.engine.plan import PrefixPlan, Tokens

UNITS_PER_WORKER = 8
"""More units than workers, so that a slow worker takes fewer of them."""
SMALLEST, LARGEST = 2_048, 262_144
"""Tokens of a unit: below, handing it out costs more than it brings; above, losing it costs too much."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Rows to be computed together, by index, in the order of the walk; ``tokens`` is what that computes.

    ``losses``: how often a worker was lost, or failed, with it.
    """

    rows: tuple[int, ...]
    tokens: int
    losses: int = 0


def split(
    sequences: Sequence[Tokens], workers: int, extra: Sequence[int] | None = None, target: int | None = None
) -> list[Unit]:
    """All of ``sequences`` in units of about ``target`` tokens (default: by the number of workers).

    ``extra[i]``: tokens that row i will cost beyond its own (those that it may generate).
    """
    if not sequences:
        return []
    plan = PrefixPlan(sequences)
    lengths = plan.lengths
    more = [extra[row] for row in plan.order] if extra else [0] * len(lengths)
    if target is None:
        share = (plan.tokens_computed + sum(more)) // max(1, workers * UNITS_PER_WORKER)
        target = min(LARGEST, max(SMALLEST, share))
    cuts = [0, *_cuts(lengths, plan.shared, more, target), len(lengths)]
    return [
        Unit(tuple(plan.order[begin:end]), _cost(lengths, plan.shared, more, begin, end))
        for begin, end in pairwise(cuts)
    ]


def _cost(lengths: Sequence[int], shared: Sequence[int], more: Sequence[int], begin: int, end: int) -> int:
    """Tokens that the rows of ranks [begin, end) compute by themselves: the first one shares with nobody."""
    return shared[begin] + sum(lengths[rank] - shared[rank] + more[rank] for rank in range(begin, end))


def _cuts(lengths: Sequence[int], shared: Sequence[int], more: Sequence[int], target: int) -> list[int]:
    """Ranks before which to cut. A unit ends between half and one and a half times the target, before the row that
    shares the least with the one before it; among equals, at the largest unit.
    """
    cuts: list[int] = []
    begin, size, best = 0, lengths[0] + more[0], -1
    rank = 1
    while rank < len(lengths):
        if size >= target / 2 and (best < 0 or shared[rank] <= shared[best]):
            best = rank
        if size >= target * 1.5 or (size >= target and best >= 0 and shared[best] == 0):
            cuts.append(best)
            begin, rank, best = best, best, -1
            size = shared[begin]
        size += lengths[rank] - shared[rank] + more[rank]
        rank += 1
    return cuts
