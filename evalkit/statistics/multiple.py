"""Several tests at once: Holm's correction, and the level at which each test was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Corrected:
    """One test of a family. ``p_value`` is Holm's adjusted one; ``alpha`` the level of the test itself, at which its
    interval leaves the null out exactly where the family's correction rejects it.
    """

    p_value: float
    alpha: float


def holm(p_values: Sequence[float], alpha: float = 0.05) -> list[Corrected]:
    """Holm's step-down procedure (1979), in the given order. A family of one is left as it is.

    The smallest of m p-values is tested at alpha / m, the next at alpha / (m - 1), and so on; from the first one that
    is not rejected on, all are held to its level.
    """
    count = len(p_values)
    found: list[Corrected | None] = [None] * count
    largest, stopped = 0.0, 0.0
    for step, place in enumerate(sorted(range(count), key=lambda place: p_values[place])):
        largest = max(largest, min(1.0, (count - step) * p_values[place]))
        level = stopped or alpha / (count - step)
        if not stopped and p_values[place] >= level:
            stopped = level
        found[place] = Corrected(largest, level)
    return [one for one in found if one is not None]
