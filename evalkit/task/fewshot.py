"""Drawing few-shot examples: as lm-evaluation-harness 0.4.13 draws them, the first ones, one draw for all, or those
most like the question.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.task import selection

Rows = Sequence[Any]
Draw = Callable[[Any], list[Any]]
"""Called once for every document, in order, with its row; returns that document's examples."""


def only(pool: Rows, places: Sequence[int], where: str) -> Rows:
    """The rows at ``places``, or all where none are named. UserError for one that is not there; ``where`` names it."""
    if missing := [place for place in places if not 0 <= place < len(pool)]:
        raise UserError(f"{where}: there is no row {missing[0]} among the {len(pool)} (they count from 0)")
    return [pool[place] for place in places] if places else pool


def sampler(
    kind: str,
    pool: Rows,
    count: int,
    seed: int,
    exclude_self: bool,
    where: str,
    text_of: Callable[[Any], str] = str,
) -> Draw:
    """A function that gives each document its ``count`` examples out of ``pool``.

    "random" advances one generator seeded with ``seed``, document by document; "fixed" draws once; "first_n" takes
    the first; "similar" those whose text (``text_of`` a row) is most like the document's, never itself. With
    ``exclude_self`` one more is drawn and the document itself left out. UserError where the pool is too small;
    ``where`` names it.
    """
    if count == 0:
        return lambda row: []
    if count > len(pool):
        raise UserError(f"{where}: {count} few-shot examples asked for, but there are only {len(pool)}; ask for fewer")
    if kind == "similar":
        pick = selection.nearest(pool, text_of, where)
        return lambda row: _enough(pick(row, count), count, where)
    generator = random.Random(seed)
    wanted = min(count + exclude_self, len(pool))
    once = generator.sample(list(pool), wanted) if kind == "fixed" else list(pool)

    def draw(row: Any) -> list[Any]:
        drawn = generator.sample(once, wanted) if kind == "random" else once
        if not exclude_self:
            return drawn[:count]
        others = [one for one in drawn if one != row][:count]
        if len(others) < count:
            # The draw held the document more than once (the pool repeats itself): draw again without it.
            rest = [one for one in pool if one != row]
            _enough(rest, count, where)
            others = generator.sample(rest, count) if kind == "random" else rest[:count]
        return others

    return draw


def _enough(rows: list[Any], count: int, where: str) -> list[Any]:
    if len(rows) < count:
        raise UserError(
            f"{where}: {count} few-shot examples asked for, but without the evaluated item there are only "
            f"{len(rows)}; ask for fewer"
        )
    return rows
