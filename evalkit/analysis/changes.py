"""How two models' answers to the same items may differ, to simulate what a gate would say of them.

A `Changes` draws differences, candidate minus base with the better direction up, unit by unit (a unit is an item, or
the items of a cluster). Where nothing changed, a unit's difference is as likely up as down; a loss tilts the signs and,
where that is not enough, changes more units.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.analysis.pairing import pairs_of
from evalkit.analysis.scores import Series, TaskScores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

LEAST_CHANGED = 100
"""Changed units that an assumption is written out in."""


@dataclass(frozen=True)
class Changes:
    """``units``: differences of those units that changed, each turned so that its sum is not below zero; ``still``: the
    sizes of the units that did not. ``width``: by how much two values can differ at most.
    """

    units: tuple[Vector, ...]
    still: tuple[int, ...]
    width: float
    clustered: bool = False

    @property
    def items(self) -> int:
        """Items in all units."""
        return sum(map(len, self.units)) + sum(self.still)

    @property
    def rate(self) -> float:
        """Share of the items whose value changed."""
        return sum(int((unit != 0).sum()) for unit in self.units) / self.items if self.items else 0.0

    @property
    def size(self) -> float:
        """The mean difference if every changed unit went down."""
        return sum(float(unit.sum()) for unit in self.units) / self.items if self.items else 0.0

    def draw(self, n: int, loss: float, generator: np.random.Generator) -> tuple[Vector, list[int]]:
        """Differences of about ``n`` items (whole units) whose expectation is -``loss``, and the unit of each item."""
        import numpy as np

        sizes = [len(unit) for unit in self.units] or [1]
        most = len(self.units) + len(self.still)
        size, share = self.size, len(self.units) / most if most else 0.0
        if loss > size:  # even with all of them down: more units must change, and perhaps by more
            more = min(1.0, share * loss / size) if size > 0 else min(1.0, loss / self.width)
            reached = size * more / share if size > 0 else self.width * more
            stretch, share, down = max(1.0, loss / reached), more, 1.0
        else:
            stretch, down = 1.0, (1 + loss / size) / 2 if size > 0 else 0.5
        units: Sequence[Vector] = self.units or (np.array([self.width]),)
        still = self.still or (1,)
        per_unit = share * float(np.mean(sizes)) + (1 - share) * float(np.mean(still))
        count = max(1, round(n / per_unit))
        changed = generator.random(count) < share
        signs = np.where(generator.random(count) < down, -stretch, stretch)
        picked, kept = generator.integers(len(units), size=count), generator.integers(len(still), size=count)
        if not self.clustered:
            values = np.array([float(unit[0]) for unit in units])[picked]
            found = np.where(changed, signs * values, 0.0)
            return np.clip(found, -self.width, self.width), list(range(count))
        parts = [
            signs[place] * units[picked[place]] if changed[place] else np.zeros(still[kept[place]])
            for place in range(count)
        ]
        labels = [place for place, part in enumerate(parts) for _ in part]
        return np.clip(np.concatenate(parts), -self.width, self.width), labels


def observed(pairs: Sequence[tuple[TaskScores, TaskScores]], key: str, width: float) -> Changes:
    """What earlier runs showed: pairs of runs of the task on the same items, all pooled."""
    import numpy as np

    units: list[Vector] = []
    still: list[int] = []
    clustered = False
    for base, other in pairs:
        found = pairs_of(base, other)
        a, b, kept = found.values(base.series[key], other.series[key])
        labels = found.labels(kept)
        clustered = clustered or labels is not None
        sign = 1.0 if base.series[key].higher_is_better else -1.0
        together: dict[object, list[float]] = {}
        for place, (x, y) in enumerate(zip(a, b, strict=True)):
            together.setdefault(place if labels is None else labels[place], []).append(sign * (y - x))
        for values in together.values():
            unit = np.array(values)
            if not unit.any():
                still.append(len(unit))
            else:
                units.append(unit if unit.sum() >= 0 else -unit)
    return Changes(tuple(units), tuple(still), width, clustered)


def assumed(series: Series, flips: float, width: float, seed: int, clusters: Sequence[str] | None = None) -> Changes:
    """A share ``flips`` of the items changes: right to wrong or back; of other values, by as much as two of the
    baseline's items differ. In ``clusters`` (one label an item) as many, each item by itself.
    """
    import numpy as np

    values = np.array([value for value in series.values if isinstance(value, float)])
    generator = np.random.default_rng(seed)
    count = max(len(values), math.ceil(LEAST_CHANGED / flips) if flips > 0 else 1)
    if np.isin(values, (0.0, 1.0)).all():
        sizes = np.ones(count)
    else:
        sizes = np.abs(generator.choice(values, 4 * count) - generator.choice(values, 4 * count))
        sizes = sizes[sizes > 0][:count] if (sizes > 0).any() else np.full(count, width)
    if clusters is not None:
        return _assumed_in_clusters(Counter(clusters), sizes, flips, width, count, generator)
    changed = round(flips * count)
    return Changes(tuple(np.array([size]) for size in sizes[:changed]), (1,) * (count - changed), width)


def _assumed_in_clusters(
    times: Mapping[str, int], sizes: Vector, flips: float, width: float, count: int, generator: np.random.Generator
) -> Changes:
    """Clusters of the sizes there are, so many times over that they hold ``count`` items."""

    units, still = [], []
    for size in list(times.values()) * math.ceil(count / sum(times.values())):
        signs = generator.choice([-1.0, 1.0], size) * (generator.random(size) < flips)
        unit = signs * generator.choice(sizes, size)
        if unit.any():
            units.append(unit if unit.sum() >= 0 else -unit)
        else:
            still.append(size)
    return Changes(tuple(units), tuple(still), width, clustered=True)
