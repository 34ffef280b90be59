"""Drawing few-shot examples: as lm-evaluation-harness 0.4.13 draws them, the first ones, or one draw for all."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from evalkit.contract.errors import UserError

Rows = Sequence[Any]
Draw = Callable[[Any], list[Any]]
"""Called once for every document, in order, with its row; returns that document's examples."""


def sampler(kind: str, pool: Rows, count: int, seed: int, exclude_self: bool, where: str) -> Draw:
    """A function that gives each document its ``count`` examples out of ``pool``.

    "random" advances one generator seeded with ``seed``, document by document; "fixed" draws once; "first_n" takes
    the first. With ``exclude_self`` one more is drawn and the document itself left out. UserError where the pool is
    too small; ``where`` names it.
    """
    if count == 0:
        return lambda row: []
    if count > len(pool):
        raise UserError(f"{where}: {count} few-shot examples asked for, but there are only {len(pool)}; ask for fewer")
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
            if len(rest) < count:
                raise UserError(
                    f"{where}: {count} few-shot examples asked for, but without the evaluated item there are only "
                    f"{len(rest)}; ask for fewer"
                )
            others = generator.sample(rest, count) if kind == "random" else rest[:count]
        return others

    return draw
