"""Methods for bounded means beside each other: what runs use, and what they could use."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from scipy.stats import t

from evalkit.statistics.bounded import bounded_mean
from evalkit.statistics.choice import interval_for
from verdicts.drawing import COVER, Effort, Vector, least
from verdicts.single import SHAPES

Interval = tuple[float, float]
NULLS = np.linspace(0.0, 1.0, 1001)


def chosen(values: Vector) -> Interval:
    return interval_for(values, bounds=(0.0, 1.0)).interval() or (0.0, 1.0)


def gaffke(values: Vector) -> Interval:
    return bounded_mean(values, (0.0, 1.0)).interval() or (0.0, 1.0)


def student(values: Vector) -> Interval:
    half = float(t.ppf(0.975, len(values) - 1)) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return max(float(values.mean()) - half, 0.0), min(float(values.mean()) + half, 1.0)


def betting(values: Vector, alpha: float = 0.05, most: float = 0.75) -> Interval:
    """Hedged capital with predictable plug-in bets for a fixed number of items (Waudby-Smith and Ramdas 2024, JRSS B
    86, theorem 3 and section 4.2), the values in the order given: nulls whose capital never reached 1 / alpha.
    """
    n, seen = len(values), np.arange(1, len(values) + 1)
    means = (0.5 + np.cumsum(values)) / (seen + 1)
    variances = (0.25 + np.cumsum((values - means) ** 2)) / (seen + 1)
    before = np.concatenate([[0.25], variances[:-1]])
    bets = np.sqrt(2 * math.log(2 / alpha) / (n * before))[:, None]
    with np.errstate(divide="ignore"):
        up, down = np.minimum(bets, most / NULLS), np.minimum(bets, most / (1 - NULLS))
    gaps = values[:, None] - NULLS[None, :]
    rising = np.cumsum(np.log1p(np.where(np.isfinite(up), up, 0.0) * gaps), axis=0)
    falling = np.cumsum(np.log1p(-np.where(np.isfinite(down), down, 0.0) * gaps), axis=0)
    kept = np.maximum(rising, falling).max(axis=0) + math.log(0.5) < math.log(1 / alpha)
    held = NULLS[kept]
    return (float(held.min()), float(held.max())) if len(held) else (float(values.mean()),) * 2


METHODS: dict[str, Callable[[Vector], Interval]] = {
    "chosen: score and mid-p": chosen,
    "Gaffke": gaffke,
    "betting, one order": betting,
    "Student's t": student,
}


def methods(effort: Effort) -> Iterator[str]:
    yield "| Values | n | " + " | ".join(METHODS) + " |"
    yield "|:--|--:|" + "--:|" * len(METHODS)
    for name in ("F1 of .95", "F1 of .50", "ROUGE-like, mean .06"):
        values, mean = SHAPES[name]
        for n in (5, 20, 100, 500):
            runs = effort.of(2 + n / 100)
            generator = effort.generator("methods", name, n)
            draws = [values(generator, n) for _ in range(runs)]
            cells = []
            for method in METHODS.values():
                found = [method(one) for one in draws]
                covered = sum(low - 1e-3 <= mean <= high + 1e-3 for low, high in found) / runs
                cells.append(f"{least(covered, COVER, runs)} ({np.mean([high - low for low, high in found]):.3f})")
            yield f"| {name} | {n} | " + " | ".join(cells) + " |"
