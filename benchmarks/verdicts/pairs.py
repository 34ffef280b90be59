"""Two runs on the same items: shares, bounded means, and passes at the margin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from evalkit.statistics.inference import Inference
from evalkit.statistics.margins import shown_at
from verdicts.commands import decide, flips, shown_of_flips, tails_of_flips
from verdicts.drawing import ALARM, COVER, COVER_FEW, PASS, WIDTHS, Cell, Effort, Vector, least, most, simulate
from verdicts.single import SHAPES


def paired_cell(n: int, gain: float, loss: float, runs: int, generator: np.random.Generator) -> Cell:
    truth = gain - loss
    counts = generator.multinomial(n, [gain, loss, 1 - gain - loss], size=runs)
    tails = [tails_of_flips(int(b), int(c), n, truth) for b, c, _ in counts]
    below, above = (sum(pair[side] <= 0.025 for pair in tails) / runs for side in (0, 1))
    widths = [flips(int(b), int(c), n).gain.interval() or (-1.0, 1.0) for b, c, _ in counts[:WIDTHS]]
    return Cell(1 - below - above, below, above, float(np.mean([b - a for a, b in widths])), runs, 0.0)


def paired_shares(effort: Effort) -> Iterator[str]:
    sizes = (5, 10, 20, 50, 200, 1000)
    yield "| Gained, lost | " + " | ".join(f"n = {n}" for n in sizes) + " |"
    yield "|:--|" + "--:|" * len(sizes)
    for gain, loss in ((0.01, 0.01), (0.05, 0.05), (0.1, 0.1), (0.25, 0.25), (0.0, 0.02), (0.07, 0.13), (0.3, 0.0)):
        cells = []
        for n in sizes:
            cell = paired_cell(n, gain, loss, effort.of(1 / 3), effort.generator("paired", gain, loss, n))
            cells.append(
                f"{least(cell.covered, COVER_FEW if n * (gain + loss) < 10 else COVER, cell.runs)} ({cell.width:.3f})"
            )
        yield f"| {gain:.0%}, {loss:.0%} | " + " | ".join(cells) + " |"


def paired_bounded(effort: Effort) -> Iterator[str]:
    """Two runs of the same quality: 1 less the coverage of zero is the rate of false alarms."""
    sizes = (5, 10, 20, 50, 200, 1000)
    yield "| Values, no difference | " + " | ".join(f"n = {n}" for n in sizes) + " |"
    yield "|:--|" + "--:|" * len(sizes)
    for name, (values, _) in SHAPES.items():
        cells = []
        for n in sizes:

            def draw(g: np.random.Generator, n: int = n, values: Any = values) -> Inference:
                base, other = values(g, n), values(g, n)
                return decide(base, np.where(g.random(n) < 0.5, base, other)).gain

            cell = simulate(draw, 0.0, effort.of(1 + n / 500), effort.generator("pairs", name, n))
            cells.append(f"{most(1 - cell.covered, ALARM, cell.runs)} ({cell.width:.3f})")
        yield f"| {name} | " + " | ".join(cells) + " |"


# -- false passes at the margin ----------------------------------------------------------------------------------------


def false_passes(effort: Effort) -> Iterator[str]:
    sizes = (50, 100, 200, 500, 1000, 2000)
    yield "The true loss is exactly the margin: how often the gate's bound passes it. Limit: 0.030."
    yield ""
    yield "| Pattern | " + " | ".join(f"n = {n}" for n in sizes) + " |"
    yield "|:--|" + "--:|" * len(sizes)
    for margin in (0.02, 0.05):
        for gain in (0.0, 0.005, 0.02, 0.1, 0.3):
            cells = []
            for n in sizes:
                runs = effort.of(1 / 5)
                counts = effort.generator("pass", margin, gain, n).multinomial(
                    n, [gain, gain + margin, 1 - 2 * gain - margin], size=runs
                )
                rate = sum(shown_of_flips(int(b), int(c), n, margin) == "pass" for b, c, _ in counts) / runs
                cells.append(most(rate, PASS, runs))
            yield f"| shares: gains {gain:.1%}, loses {gain + margin:.1%} | " + " | ".join(cells) + " |"
    for name, draw in LOSSES.items():
        cells = []
        for n in sizes:
            runs, generator = effort.of(1 + n / 1000), effort.generator("pass", name, n)
            passed = 0
            for _ in range(runs):
                base = np.ones(n)
                found = decide(base, base + np.clip(draw(generator, n), -1, 0))
                passed += shown_at(found.gain, 0.02, 0.025) == "pass"
            cells.append(most(passed / runs, PASS, runs))
        yield f"| F1-like: {name} | " + " | ".join(cells) + " |"


LOSSES: dict[str, Callable[[np.random.Generator, int], Vector]] = {
    "2 % of items lose all": lambda g, n: -1.0 * (g.random(n) < 0.02),
    "4 % lose half": lambda g, n: -0.5 * (g.random(n) < 0.04),
    "20 % lose a tenth": lambda g, n: -0.1 * (g.random(n) < 0.2),
    "1 % lose all, 10 % a tenth": lambda g, n: np.where(g.random(n) < 0.01, -1.0, -0.1 * (g.random(n) < 0.1 / 0.99)),
    "4 % lose any part": lambda g, n: -g.random(n) * (g.random(n) < 0.04),
}
