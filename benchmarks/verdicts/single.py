"""One run: shares and bounded means."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from scipy.special import gammaln

from evalkit.statistics.choice import interval_for
from evalkit.statistics.inference import Inference
from verdicts.drawing import COVER, COVER_FEW, Effort, Vector, least, simulate


@cache
def share(right: int, n: int) -> Inference:
    return interval_for([1.0] * right + [0.0] * (n - right), binary=True)


@cache
def share_width(right: int, n: int) -> float:
    low, high = share(right, n).interval() or (0.0, 1.0)
    return high - low


def binomial(n: int, p: float) -> Vector:
    k = np.arange(n + 1)
    log = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1) + k * math.log(p) + (n - k) * math.log1p(-p)
    return np.exp(log)


def share_coverage(n: int, p: float) -> float:
    masses = binomial(n, p)
    return float(sum(mass for k, mass in enumerate(masses) if mass > 1e-9 and min(share(k, n).tails(p)) > 0.025))


def one_share(effort: Effort) -> Iterator[str]:
    """Exact sums over all outcomes, not draws."""
    shares = (0.01, 0.05, 0.1, 0.25, 0.5)
    yield "Coverage, exact (no simulation error), and mean width; a share of 0.99 is as one of 0.01. Limits: 0.935;"
    yield "0.91 where fewer than 10 right or wrong answers are expected."
    yield ""
    yield "| Items | " + " | ".join(f"{p:.2f}" for p in shares) + " | least of all shares from .01 to .99 |"
    yield "|--:|" + "--:|" * (len(shares) + 1)
    grid = np.linspace(0.01, 0.5, 50 if effort.runs < 1000 else 246)
    for n in (5, 10, 20, 50, 100, 200, 500, 1000):
        cells = []
        for p in shares:
            masses = binomial(n, p)
            width = sum(mass * share_width(k, n) for k, mass in enumerate(masses) if mass > 1e-3)
            limit = COVER_FEW if n * p < 10 else COVER
            cells.append(f"{least(share_coverage(n, p), limit, 0)} ({width:.3f})")
        lowest = min(share_coverage(n, float(p)) for p in grid)
        yield f"| {n} | " + " | ".join(cells) + f" | {least(lowest, COVER_FEW, 0)} |"


def f1_like(share_below_one: float, zeros: float = 0.3) -> tuple[Callable[[np.random.Generator, int], Vector], float]:
    """Token F1: most items 1, of the others some 0 and the rest between; and its mean."""

    def draw(generator: np.random.Generator, n: int) -> Vector:
        values = np.ones(n)
        low = generator.random(n) < share_below_one
        values[low] = np.where(generator.random(int(low.sum())) < zeros, 0.0, generator.random(int(low.sum())))
        return values

    return draw, 1 - share_below_one * (zeros + (1 - zeros) / 2)


SHAPES: dict[str, tuple[Callable[[np.random.Generator, int], Vector], float]] = {
    "F1 of .99": f1_like(0.0154),
    "F1 of .95": f1_like(0.077),
    "F1 of .50": f1_like(0.77),
    "near .95, one in a hundred 0": (
        lambda g, n: np.where(g.random(n) < 0.01, 0.0, 0.95 + 0.05 * (g.random(n) - 0.5)),
        0.95 * 0.99,
    ),
    "ROUGE-like, mean .06": (lambda g, n: g.beta(0.2, 3.0, n), 0.2 / 3.2),
    "bell, mean .5": (lambda g, n: g.beta(2.0, 2.0, n), 0.5),
}


def bounded_means(effort: Effort) -> Iterator[str]:
    sizes = (5, 10, 20, 50, 200, 1000)
    yield "| Values | " + " | ".join(f"n = {n}" for n in sizes) + " |"
    yield "|:--|" + "--:|" * len(sizes)
    for name, (values, mean) in SHAPES.items():
        cells = []
        for n in sizes:
            cell = simulate(
                lambda g, n=n, values=values: interval_for(values(g, n), bounds=(0.0, 1.0)),  # type: ignore[misc]
                mean,
                effort.of(1 + n / 500),
                effort.generator("bounded", name, n),
            )
            cells.append(f"{least(cell.covered, COVER, cell.runs)} ({cell.width:.3f})")
        yield f"| {name} | " + " | ".join(cells) + " |"
