"""How a cell of a table is simulated, and how it is written."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evalkit.statistics.inference import Inference

Vector = NDArray[np.float64]
Draw = Callable[[np.random.Generator], Inference]
COVER, COVER_FEW, ALARM, PASS = 0.935, 0.91, 0.055, 0.03
MARGIN = 0.02
WIDTHS = 60
"""Draws whose intervals are measured."""


@dataclass(frozen=True)
class Effort:
    """How many draws a cell gets (``cost``: how much slower than a plain one), the seed, and what cells were given."""

    runs: int
    seed: int
    given: set[int] = field(default_factory=set)

    def of(self, cost: float = 1.0) -> int:
        draws = max(100, int(self.runs / cost))
        self.given.add(draws)
        return draws

    def told(self) -> str:
        """The draws of a table's cells, in words."""
        if not self.given:
            return "Draws: none, exact sums."
        least, most = min(self.given), max(self.given)
        return f"Draws a cell: {least:,}." if least == most else f"Draws a cell: {least:,} to {most:,}."

    def generator(self, *name: object) -> np.random.Generator:
        text = repr(name).encode()
        return np.random.default_rng([self.seed, *text])


@dataclass(frozen=True)
class Cell:
    """Shares of draws (truth in the interval, below it, above it, not judged), the mean width, how many draws."""

    covered: float
    below: float
    above: float
    width: float
    runs: int
    unknown: float


def simulate(draw: Draw, truth: float, runs: int, generator: np.random.Generator) -> Cell:
    """Draw and judge ``runs`` times."""
    below = above = unknown = 0
    widths = []
    for run in range(runs):
        found = draw(generator)
        less, more = found.tails(truth)
        below += less <= 0.025
        above += more <= 0.025
        unknown += bool(found.reason)
        if run < WIDTHS:
            interval = found.interval()
            if interval is not None:
                widths.append(interval[1] - interval[0])
    width = float(np.mean(widths)) if widths else math.nan
    return Cell(1 - (below + above) / runs, below / runs, above / runs, width, runs, unknown / runs)


def error(limit: float, runs: int) -> float:
    """Two standard errors of a rate of ``limit`` over ``runs`` draws; 0 for exact sums (runs 0)."""
    return 2 * math.sqrt(limit * (1 - limit) / runs) if runs else 0.0


def least(value: float, limit: float, runs: int) -> str:
    """``value``, bold where it lies below the limit by more than the error."""
    text = f"{value:.3f}"
    return f"**{text}**" if value < limit - error(limit, runs) else text


def most(value: float, limit: float, runs: int) -> str:
    """``value``, bold where it lies above the limit by more than the error."""
    text = f"{value:.3f}"
    return f"**{text}**" if value > limit + error(limit, runs) else text


def held(cell: Cell, limit: float = COVER) -> str:
    """Coverage and width."""
    return f"{least(cell.covered, limit, cell.runs)} | {cell.width:.3g}"
