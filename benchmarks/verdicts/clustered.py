"""Items that belong together: passages, groups of tasks, variants of one question."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.statistics.choice import average_difference_for, average_for, interval_for
from evalkit.statistics.inference import Inference
from evalkit.statistics.margins import shown_at
from verdicts.commands import decide, decide_several
from verdicts.drawing import ALARM, COVER, MARGIN, PASS, Effort, Vector, held, least, most, simulate

LAYOUTS: dict[str, Callable[[int], NDArray[np.int64]]] = {
    "5 items each": lambda groups: np.full(groups, 5),
    "10 items each": lambda groups: np.full(groups, 10),
    "1 to 20 items": lambda groups: np.maximum(1, np.round(np.exp(np.linspace(0, 3, groups)))).astype(np.int64),
}


def beta_shares(mean: float, correlation: float) -> Callable[[np.random.Generator, NDArray[np.int64]], Vector]:
    """0/1 items whose cluster's own share is beta distributed: correlation within clusters."""
    scale = (1 - correlation) / correlation

    def draw(generator: np.random.Generator, codes: NDArray[np.int64]) -> Vector:
        own = generator.beta(mean * scale, (1 - mean) * scale, int(codes.max()) + 1)
        return (generator.random(len(codes)) < own[codes]).astype(float)

    return draw


def leaning_flips(rate: float, lean: float) -> Callable[[np.random.Generator, NDArray[np.int64]], Vector]:
    """Differences of 0/1 items: those of a cluster go the same way with the probability ``lean``."""

    def draw(generator: np.random.Generator, codes: NDArray[np.int64]) -> Vector:
        side = generator.random(int(codes.max()) + 1) < 0.5
        up = np.where(generator.random(len(codes)) < lean, side[codes], generator.random(len(codes)) < 0.5)
        return (generator.random(len(codes)) < rate) * np.where(up, 1.0, -1.0)

    return draw


def normal_parts(correlation: float) -> Callable[[np.random.Generator, NDArray[np.int64]], Vector]:
    def draw(generator: np.random.Generator, codes: NDArray[np.int64]) -> Vector:
        shared = generator.normal(size=int(codes.max()) + 1)[codes]
        return math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * generator.normal(size=len(codes))

    return draw


def as_pair(differences: Vector) -> tuple[Vector, Vector]:
    """0/1 values of two runs with these differences."""
    base = np.where(differences < 0, 1.0, 0.0)
    return base, base + differences


def clusters(effort: Effort) -> Iterator[str]:
    counts = (3, 5, 10, 30, 100)
    yield "Passages of several items. One run: coverage (limit 0.935); pairs without a difference: false alarms (limit"
    yield "0.055). Widths in brackets."
    yield ""
    yield "| Data | Passage | " + " | ".join(f"{n} passages" for n in counts) + " |"
    yield "|:--|:--|" + "--:|" * len(counts)

    def row(name: str, layout: str, cells: Sequence[str]) -> str:
        return f"| {name} | {layout} | " + " | ".join(cells) + " |"

    for layout, sizes in LAYOUTS.items():
        for mean, correlation in ((0.8, 0.3), (0.98, 0.3)):
            cells = []
            for groups in counts:
                codes, values = np.repeat(np.arange(groups), sizes(groups)), beta_shares(mean, correlation)
                cell = simulate(
                    lambda g, c=codes, v=values: interval_for(v(g, c), binary=True, clusters=c),  # type: ignore[misc]
                    mean, effort.of(2), effort.generator("clusters", layout, mean, groups),
                )  # fmt: skip
                cells.append(f"{least(cell.covered, COVER, cell.runs)} ({cell.width:.3f})")
            yield row(f"one run, share {mean}, correlation {correlation}", layout, cells)
        for rate, lean in ((0.2, 0.7), (0.03, 0.7)):
            cells = []
            for groups in counts:
                codes, flips = np.repeat(np.arange(groups), sizes(groups)), leaning_flips(rate, lean)
                cell = simulate(
                    lambda g, c=codes, f=flips: decide(*as_pair(f(g, c)), clusters=c).gain,  # type: ignore[misc]
                    0.0, effort.of(2), effort.generator("flips", layout, rate, groups),
                )  # fmt: skip
                cells.append(f"{most(1 - cell.covered, ALARM, cell.runs)} ({cell.width:.3f})")
            yield row(f"pairs, {rate:.0%} flip, most of a passage one way", layout, cells)
        cells = []
        for groups in counts:
            codes, parts = np.repeat(np.arange(groups), sizes(groups)), normal_parts(0.5)
            cell = simulate(
                lambda g, c=codes, p=parts: decide(np.zeros(len(c)), p(g, c), bounds=None, clusters=c).gain,  # type: ignore[misc]
                0.0, effort.of(0.5), effort.generator("normal", layout, groups),
            )  # fmt: skip
            cells.append(f"{most(1 - cell.covered, ALARM, cell.runs)} ({cell.width:.3f})")
        yield row("pairs, unbounded, correlation 0.5", layout, cells)


def groups(effort: Effort) -> Iterator[str]:
    yield "Averages of tasks, every task the same weight. One run: coverage; pairs without a difference: false alarms."
    yield ""
    yield "| Group | Coverage | Width | False alarms of pairs | Width |"
    yield "|:--|--:|--:|--:|--:|"
    for name, sizes, mean in (
        ("3 tasks of 200, share .99", [200] * 3, 0.99),
        ("3 tasks of 20, share .95", [20] * 3, 0.95),
        ("3 tasks of 5, share .99", [5] * 3, 0.99),
        ("10 tasks of 5, share .75", [5] * 10, 0.75),
        ("57 tasks of 100, share .99", [100] * 57, 0.99),
        ("57 tasks of 20, share .60", [20] * 57, 0.6),
        ("2 tasks of 1,000 and 10, share .95", [1000, 10], 0.95),
    ):
        single = simulate(
            lambda g, s=sizes, m=mean: average_for([(g.random(n) < m).astype(float) for n in s], binary=True),  # type: ignore[misc]
            mean, effort.of(), effort.generator("groups", name),
        )  # fmt: skip

        def pairs(g: np.random.Generator, s: Any = sizes, m: float = mean) -> Inference:
            base = [(g.random(n) < m).astype(float) for n in s]
            other = [np.where(g.random(len(b)) < 0.3, g.random(len(b)) < m, b) for b in base]
            return decide_several(base, other).gain

        both = simulate(pairs, 0.0, effort.of(), effort.generator("group pairs", name))
        alarm = most(1 - both.covered, ALARM, both.runs)
        yield f"| {name} | {held(single)} | {alarm} | {both.width:.3g} |"
    for name, tasks, passages in (("3 tasks of 20 passages of 5", 3, 20), ("5 tasks of 6 passages of 8", 5, 6)):
        size = 5 if tasks == 3 else 8
        codes = [np.repeat(np.arange(passages), size)] * tasks
        values, flips = beta_shares(0.8, 0.3), leaning_flips(0.2, 0.7)
        single = simulate(
            lambda g, c=codes, v=values: average_for([v(g, one) for one in c], binary=True, clusters=c),  # type: ignore[misc]
            0.8, effort.of(), effort.generator("group passages", name),
        )  # fmt: skip

        def passage_pairs(g: np.random.Generator, c: Any = codes, f: Any = flips) -> Inference:
            made = [as_pair(f(g, one)) for one in c]
            return decide_several([a for a, _ in made], [b for _, b in made], c).gain

        both = simulate(passage_pairs, 0.0, effort.of(), effort.generator("passage pairs", name))
        alarm = most(1 - both.covered, ALARM, both.runs)
        yield f"| {name} | {held(single)} | {alarm} | {both.width:.3g} |"


LAYERS: dict[str, tuple[int, ...]] = {
    "3 tasks of 5": (5,) * 3,
    "3 of 24": (24,) * 3,
    "10 of 5": (5,) * 10,
    "10 of 20": (20,) * 10,
    "30 of 5": (5,) * 30,
    "100, 20 and 5": (100, 20, 5),
}


def group_passes(effort: Effort) -> Iterator[str]:
    yield "Averages of tasks, all of the same weight, whose true loss is exactly the margin of 2 points, every task's"
    yield f"or the first's alone: how often the gate's bound passes it. Limit: {PASS:.3f}."
    yield ""
    yield "| Loss | Gained beside | " + " | ".join(LAYERS) + " |"
    yield "|:--|--:|" + "--:|" * len(LAYERS)
    for where in ("every task's", "the first's"):
        for gain in (0.0, 0.02, 0.1):
            cells = []
            for name, sizes in LAYERS.items():
                first = MARGIN * (1 if where == "every task's" else len(sizes))
                losses = [first, *[MARGIN if where == "every task's" else 0.0] * (len(sizes) - 1)]
                if first + 2 * gain > 1:
                    cells.append("")
                    continue
                passed = _passes(effort.generator("group passes", where, gain, name), effort.of(), sizes, losses, gain)
                cells.append(most(passed / effort.of(), PASS, effort.of()))
            yield f"| {where} | {gain:.0%} | " + " | ".join(cells) + " |"


def _passes(
    generator: np.random.Generator, runs: int, sizes: Sequence[int], losses: Sequence[float], gain: float
) -> int:
    """How many of ``runs`` averages pass. Those within 1.4 plain standard errors of the margin are not judged: they are
    far from a pass.
    """
    draws = [
        generator.multinomial(n, [gain, gain + loss, 1 - 2 * gain - loss], size=runs)
        for n, loss in zip(sizes, losses, strict=True)
    ]
    items = np.array(sizes)[:, None]
    gained, lost = (np.array([one[:, side] for one in draws]) / items for side in (0, 1))
    spread = np.sqrt((gained + lost - (gained - lost) ** 2) / items)
    distance = (gained - lost).mean(axis=0) + MARGIN
    passed = 0
    for run in np.flatnonzero(distance > 1.4 * np.sqrt((spread**2).sum(axis=0)) / len(sizes)):
        made = [as_pair(np.repeat([1.0, -1.0, 0.0], one[run])) for one in draws]
        found = average_difference_for([a for a, _ in made], [b for _, b in made], binary=True)
        passed += shown_at(found, MARGIN, 0.025) == "pass"
    return passed


def variants(effort: Effort) -> Iterator[str]:
    yield "Every question asked in 4 variants (order:, labels:, templates:), clustered by question; most flips of a"
    yield "question go one way. False alarms; beside it, what independent items would give."
    yield ""
    yield "| Questions | Clustered by question | Width | Taken for independent |"
    yield "|--:|--:|--:|--:|"
    for questions in (5, 20, 50, 200):
        codes, flips = np.repeat(np.arange(questions), 4), leaning_flips(0.2, 0.7)
        good = simulate(
            lambda g, c=codes, f=flips: decide(*as_pair(f(g, c)), clusters=c).gain,  # type: ignore[misc]
            0.0, effort.of(), effort.generator("variants", questions),
        )  # fmt: skip
        naive = simulate(
            lambda g, c=codes, f=flips: decide(*as_pair(f(g, c))).gain,  # type: ignore[misc]
            0.0, effort.of(), effort.generator("variants", questions),
        )  # fmt: skip
        alarm = most(1 - good.covered, ALARM, good.runs)
        yield f"| {questions} | {alarm} | {good.width:.3f} | {1 - naive.covered:.3f} |"
