"""Plots as plain values that templates draw as HTML and SVG: no library and no script, in the page's own colours.

Places are percent of the plot's width and height, so that a page draws them as wide as it is, and lets text be text.
Names come from files and models: the templates escape them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

SYMBOLS = ("●", "■", "◆", "▲")
"""The first is drawn as a circle; runs beyond the page's colours take the next one."""
COLOURS = 8
PAD = 0.06
"""Of the range of the values, what is left free on either side."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis and what stands there."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Scale:
    """Values to percent of an axis. ``log``: by their logarithms, for positive values."""

    low: float
    high: float
    log: bool = False

    def at(self, value: float) -> float:
        """Where a value stands, clipped to the axis."""
        low, high, value = (math.log10(one) if self.log else one for one in (self.low, self.high, value))
        return round(min(max(100 * (value - low) / ((high - low) or 1), 0.0), 100.0), 2)

    def ticks(self, most: int = 6) -> tuple[Tick, ...]:
        """Round numbers, at most ``most`` of them."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for steps in ((1, 2, 5), (1, 3), (1,)):
                values = [step * 10.0**power for power in powers for step in steps]
                inside = [value for value in values if self.low <= value <= self.high]
                if len(inside) <= most:
                    break
        else:
            inside = _round(self.low, self.high, most)
        return tuple(Tick(self.at(value), _short(value)) for value in inside)


def scale(values: Iterable[float], least: float | None = None, most: float | None = None, log: bool = False) -> Scale:
    """A scale over ``values`` with room beside them, within what values can be (``least``, ``most``)."""
    known = list(values)
    low, high = min(known), max(known)
    if log:
        room = (high / low) ** PAD if high > low else 2.0
        return Scale(low / room, high * room, True)
    room = PAD * (high - low) or abs(high) * PAD or 1.0
    low, high = low - room, high + room
    return Scale(low if least is None else max(low, least), high if most is None else min(high, most))


def _round(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / most or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(one * power for one in (1, 2, 5, 10) if one * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 10) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis as it is drawn."""

    title: str
    ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A point in percent, ``y`` from the top; ``low`` and ``high`` are the ends of its interval. ``tip`` is shown on
    pointing at it, ``label`` always, ``above`` or below. ``tone`` None: no run's colour.
    """

    x: float
    y: float
    tip: str
    tone: int | None = 0
    symbol: str = SYMBOLS[0]
    size: float = 4.5
    low: float | None = None
    high: float | None = None
    label: str = ""
    above: bool = True
    open: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """A straight line in percent; dotted where it is no run's."""

    x1: float
    y1: float
    x2: float
    y2: float
    tone: int | None = None


@dataclass(frozen=True, slots=True)
class Scatter:
    """Points over two axes. ``legend``: (tone, text)."""

    kind: ClassVar[str] = "scatter"
    title: str
    note: str
    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    segments: tuple[Segment, ...] = ()
    legend: tuple[tuple[int | None, str], ...] = ()
    height: int = 320


@dataclass(frozen=True, slots=True)
class HeatCell:
    """``part``: how deep its colour is, in percent of the ramp."""

    text: str
    part: float


@dataclass(frozen=True, slots=True)
class Heat:
    """A table whose cells are coloured by their values. ``corner`` names rows, ``across`` the columns."""

    kind: ClassVar[str] = "heat"
    title: str
    note: str
    corner: str
    across: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[HeatCell | None, ...]], ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """``part``: its length in percent of the longest."""

    tone: int
    name: str
    text: str
    part: float


@dataclass(frozen=True, slots=True)
class Bars:
    """Groups of bars from zero, one colour a run."""

    kind: ClassVar[str] = "bars"
    title: str
    note: str
    rows: tuple[tuple[str, tuple[Bar, ...]], ...]
    legend: tuple[tuple[int | None, str], ...] = field(default=())


Figure = Scatter | Heat | Bars


def bars(
    title: str, note: str, unit: str, names: Sequence[str], runs: Sequence[tuple[int, str, dict[str, float]]]
) -> Bars:
    """Bars of each of ``names``; ``runs``: (number, label, values by name)."""
    longest = max((value for _, _, values in runs for value in values.values()), default=0.0) or 1.0
    rows = tuple(
        (
            name,
            tuple(
                Bar(number, label, f"{_significant(values[name])} {unit}", round(100 * values[name] / longest, 2))
                for number, label, values in runs
                if name in values
            ),
        )
        for name in names
    )
    return Bars(title, note, rows, tuple((number, label) for number, label, _ in runs))


def _significant(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
