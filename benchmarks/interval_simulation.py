"""Simulate what evalkit's intervals and tests promise: coverage of 95 % intervals, false alarms at 5 %.

Prints the Markdown tables of docs/statistics.md:  python benchmarks/interval_simulation.py [--runs 2000] [--seed 1]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from evalkit.analysis.compare import AGGREGATES, MetricComparison, Options
from evalkit.analysis.gate import judge_margin
from evalkit.analysis.policy import Rule
from evalkit.statistics import intervals
from evalkit.statistics.paired import Difference, corpus_difference, holm, paired_difference

Vector = NDArray[np.float64]
Draw = Callable[[np.random.Generator], tuple[Vector, Vector, Vector | None]]
BOOTSTRAP = 500
"""Resamples in the simulation; more would change the third digit."""


def binary_pairs(n: int, accuracy: float, flips: float, effect: float = 0.0) -> Draw:
    """Base right with ``accuracy``; a share ``flips`` of the items differ, ``effect`` more lost than gained."""

    def draw(generator: np.random.Generator) -> tuple[Vector, Vector, None]:
        lost, gained = (flips + effect) / 2, (flips - effect) / 2
        cells = generator.choice(4, size=n, p=[accuracy - lost, lost, gained, 1 - accuracy - gained])
        return (cells <= 1).astype(float), ((cells == 0) | (cells == 2)).astype(float), None

    return draw


def skewed_pairs(n: int) -> Draw:
    """Token-F1-like values: many zeros and ones, the rest between; the two models agree on most items."""

    def draw(generator: np.random.Generator) -> tuple[Vector, Vector, None]:
        def values() -> Vector:
            return np.clip(generator.normal(0.4, 0.6, n), 0, 1)

        base, other = values(), values()
        return base, np.where(generator.random(n) < 0.6, base, other), None

    return draw


def clustered_pairs(groups: int, size: int) -> Draw:
    """Items in passages whose difference moves together (correlation 0.5 within a passage)."""

    def draw(generator: np.random.Generator) -> tuple[Vector, Vector, Vector]:
        shared = np.repeat(generator.normal(0, 1, groups), size)
        base = generator.random(groups * size)
        return (
            base,
            base + shared + generator.normal(0, 1, groups * size),
            np.repeat(np.arange(groups), size).astype(float),
        )

    return draw


def paired_rates(draw: Draw, truth: float, runs: int, seed: int, clustered: bool = True) -> tuple[float, float]:
    """(coverage of the 95 % interval, share of p-values below 0.05)."""
    generator = np.random.default_rng(seed)
    covered = alarms = 0
    for run in range(runs):
        base, candidate, clusters = draw(generator)
        labels = None if clusters is None or not clustered else list(clusters)
        found = paired_difference(base, candidate, clusters=labels, seed=run, resamples=BOOTSTRAP)
        covered += found.interval[0] <= truth <= found.interval[1]
        alarms += found.p_value < 0.05
    return covered / runs, alarms / runs


def paired_table(runs: int, seed: int) -> Iterator[str]:
    """Coverage and false alarms of paired differences under the null, and coverage under an effect."""
    yield "| Data | Items | Coverage | False alarms |"
    yield "|:--|--:|--:|--:|"
    for n in (20, 50, 200, 1000):
        for flips in (0.05, 0.2):
            rates = paired_rates(binary_pairs(n, 0.6, flips), 0.0, runs, seed)
            yield f"| right or wrong, {flips:.0%} flip | {n} | {rates[0]:.3f} | {rates[1]:.3f} |"
    for n in (50, 200, 1000):
        rates = paired_rates(binary_pairs(n, 0.6, 0.2, effect=0.06), -0.06, runs, seed)
        yield f"| right or wrong, 20% flip, true loss 6 points | {n} | {rates[0]:.3f} | (power {rates[1]:.3f}) |"
    for n in (20, 49, 50, 200, 1000):
        rates = paired_rates(skewed_pairs(n), 0.0, runs, seed)
        yield f"| continuous, skewed, {'t' if n < 50 else 'bootstrap'} | {n} | {rates[0]:.3f} | {rates[1]:.3f} |"
    for groups in (10, 30, 100):
        good = paired_rates(clustered_pairs(groups, 5), 0.0, runs, seed)
        naive = paired_rates(clustered_pairs(groups, 5), 0.0, runs, seed, clustered=False)
        yield f"| 5 items share a passage, cluster-robust | {groups * 5} | {good[0]:.3f} | {good[1]:.3f} |"
        yield f"| the same, taken for independent | {groups * 5} | {naive[0]:.3f} | {naive[1]:.3f} |"


def wilson_table(runs: int, seed: int) -> Iterator[str]:
    """Coverage of a single score's interval: Wilson's, against the plain normal one."""
    generator = np.random.default_rng(seed)
    yield "| True accuracy | Items | Wilson | Normal (value ± 1.96 stderr) |"
    yield "|--:|--:|--:|--:|"
    for p in (0.05, 0.25, 0.5, 0.9):
        for n in (20, 100, 1000):
            hits = plain = 0
            for right in generator.binomial(n, p, runs):
                low, high = intervals.wilson(int(right), n)
                hits += low <= p <= high
                value = right / n
                half = 1.96 * math.sqrt(value * (1 - value) / (n - 1))
                plain += value - half <= p <= value + half
            yield f"| {p:.2f} | {n} | {hits / runs:.3f} | {plain / runs:.3f} |"


def perplexity_table(runs: int, seed: int) -> Iterator[str]:
    """Joint resampling of a corpus metric under the null: both tails, and sacrebleu's rule."""
    yield "| Texts | Coverage | False alarms | False alarms by sacrebleu's rule |"
    yield "|--:|--:|--:|--:|"
    generator = np.random.default_rng(seed)
    for n in (50, 200):
        covered = alarms = theirs = 0
        for run in range(runs):
            words = generator.integers(20, 200, n).astype(float)
            nats = -words * generator.normal(3.0, 0.4, n)
            sides = [np.column_stack([nats + generator.normal(0, 5, n), words]) for _ in range(2)]
            measure = AGGREGATES["weighted_perplexity"]
            found = corpus_difference(sides[0], sides[1], measure, seed=run, resamples=BOOTSTRAP)
            other = corpus_difference(sides[0], sides[1], measure, seed=run, resamples=BOOTSTRAP, rule="sacrebleu")
            covered += found.interval[0] <= 0 <= found.interval[1]
            alarms += found.p_value < 0.05
            theirs += other.p_value < 0.05
        yield f"| {n} | {covered / runs:.3f} | {alarms / runs:.3f} | {theirs / runs:.3f} |"


def family_table(runs: int, seed: int) -> Iterator[str]:
    """Ten tasks, no difference anywhere: how often at least one is called different."""
    generator = np.random.default_rng(seed)
    draw = binary_pairs(300, 0.6, 0.2)
    plain = corrected = 0
    for _ in range(runs):
        values = []
        for _task in range(10):
            base, candidate, _ = draw(generator)
            values.append(paired_difference(base, candidate).p_value)
        plain += min(values) < 0.05
        corrected += min(holm(values)) < 0.05
    yield "| Ten tasks, no difference | At least one false alarm |"
    yield "|:--|--:|"
    yield f"| each test at 5 % | {plain / runs:.3f} |"
    yield f"| Holm | {corrected / runs:.3f} |"


def gate_table(runs: int, seed: int) -> Iterator[str]:
    """Verdicts of a gate with a margin of two points on one task."""
    yield "| True loss | Items | Pass | Regression | Cannot tell |"
    yield "|--:|--:|--:|--:|--:|"
    generator = np.random.default_rng(seed)
    for loss in (0.0, 0.02, 0.05):
        for n in (200, 1000, 5000):
            draw = binary_pairs(n, 0.6, 0.08, effect=loss)
            counts = {"pass": 0, "regression": 0, "inconclusive": 0}
            for _ in range(runs):
                base, candidate, _ = draw(generator)
                found = paired_difference(base, candidate)
                check = judge_margin(_row(base, candidate, found), Rule(margin=0.02), found.p_value, Options().alpha)
                counts[check.outcome] += 1
            shares = " | ".join(f"{counts[name] / runs:.3f}" for name in ("pass", "regression", "inconclusive"))
            yield f"| {100 * loss:.0f} points | {n} | {shares} |"


def _row(base: Vector, candidate: Vector, found: Difference) -> MetricComparison:
    return MetricComparison(
        "t", "acc,none", "task", True, True, float(base.mean()), float(candidate.mean()), found, 0, 0
    )


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=2000, help="simulated experiments per row")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tables = {
        "One score": wilson_table,
        "Paired differences": paired_table,
        "Corpus metrics": perplexity_table,
        "Many tasks": family_table,
        "The gate": gate_table,
    }
    for title, table in tables.items():
        print(f"### {title}\n")
        for line in table(options.runs, options.seed):
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
