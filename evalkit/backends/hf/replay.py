"""Resuming to the last bit: the passes of the whole plan that are still needed, and no others.

A matrix product's rounding depends on its shape, so the same row in another batch differs in the last bits, and so
would every metric that averages log-likelihoods after a resume. The plan over all rows of the run, answered or not,
cuts into the same passes as in the run that was interrupted. Of these, computed again are those that have reads of
unanswered rows, and those in which the keys and values of their paths were made. The latter may find other things
than in the first run where they look for a path that nobody needs any more: no other row of a pass depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evalkit.engine.plan import Cursor, Pass, PrefixPlan

SPARE_PASSES = 8
"""So many passes more than a plan of the unanswered rows alone may a replay cost; else that plan is taken."""

Span = tuple[Cursor, Cursor]
"""From the first token of a pass to the one behind its last."""


@dataclass(slots=True)
class _Stretch:
    """Positions up to ``end`` of the held path, made in pass ``source``."""

    begin: int
    end: int
    source: int


def whole(plan: PrefixPlan) -> list[Span]:
    """The walk from start to end as one span."""
    return [(plan.start(), Cursor(len(plan.order), 0, plan.tokens_computed))]


def needed(plan: PrefixPlan, budget: int, wanted: npt.NDArray[np.bool_]) -> tuple[list[Span], int]:
    """The passes of ``budget`` tokens that rows marked in ``wanted`` [rows] need, in order, and their tokens."""
    spans: list[Span] = []
    chosen: set[int] = set()
    path: list[_Stretch] = []
    cursor = plan.start()
    while not plan.done(cursor):
        work, behind = plan.cut(cursor, budget)
        if wanted[work.read_row].any():
            chosen |= {len(spans), *(stretch.source for stretch in path)}
        _move(path, work, behind, len(spans))
        spans.append((cursor, behind))
        cursor = behind
    if chosen:
        chosen.add(0)  # it needs nothing that is held, and makes the stack that others look into
    found = [spans[number] for number in sorted(chosen)]
    return found, sum(end.trunk - begin.trunk for begin, end in found)


def _move(path: list[_Stretch], work: Pass, behind: Cursor, number: int) -> None:
    """What is held behind a pass: what was held, as far as it is still on the path, and what the pass keeps."""
    kept = work.keeps[0].position if work.keeps else behind.position
    while path and path[-1].begin >= kept:
        path.pop()
    if path:
        path[-1].end = min(path[-1].end, kept)
    path += [_Stretch(keep.position, keep.position + keep.end - keep.begin, number) for keep in work.keeps]
