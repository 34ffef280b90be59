"""Calibration error, spread of variants, and judges corrected by people."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from evalkit.statistics.calibration import calibration_error
from evalkit.statistics.prediction_powered import prediction_powered_mean
from evalkit.statistics.ranks import widest_gap
from verdicts.drawing import COVER, Effort, least


def calibration(effort: Effort) -> Iterator[str]:
    yield "| Model | Items | True ECE | Plug-in | Debiased | Coverage | Width |"
    yield "|:--|--:|--:|--:|--:|--:|--:|"
    for name, shift in (("calibrated", 0.0), ("overconfident by .05", 0.05), ("overconfident by .20", 0.2)):
        for n in (50, 200, 1000, 5000):
            generator, runs = effort.generator("ece", name, n), effort.of(4)
            covered, widths, plain, debiased = 0, 0.0, 0.0, 0.0
            for _ in range(runs):
                confidence = generator.uniform(0.25, 1.0, n)
                right = generator.random(n) < np.clip(confidence - shift, 0, 1)
                bins = np.minimum(np.ceil(confidence * 15).astype(np.int64) - 1, 14)
                found = calibration_error(right - confidence, bins)
                low, high = found.interval or (0.0, 1.0)
                covered += low <= shift <= high
                widths, plain, debiased = widths + high - low, plain + found.plain, debiased + found.debiased
            yield (
                f"| {name} | {n} | {shift:.3f} | {plain / runs:.3f} | {debiased / runs:.3f} "
                f"| {least(covered / runs, COVER, runs)} | {widths / runs:.3f} |"
            )


def spread(effort: Effort) -> Iterator[str]:
    yield "| Variants | Questions | True spread | Plain | Debiased | Coverage | Width |"
    yield "|--:|--:|--:|--:|--:|--:|--:|"
    for count, true in ((4, 0.0), (4, 0.1), (10, 0.0), (10, 0.1)):
        for n in (50, 500):
            generator, runs = effort.generator("spread", count, true, n), effort.of(10)
            means = 0.6 + true * np.linspace(0, 1, count)
            covered, totals = 0, np.zeros(3)
            for run in range(runs):
                ease = generator.random(n)
                own = generator.random((count, n))
                draws = np.where(generator.random((count, n)) < 0.7, ease, own)
                table = (draws < means[:, None]).astype(float)
                plain, debiased, interval = widest_gap(table, seed=run)
                low, high = interval or (0.0, 1.0)
                covered += low <= true + 1e-9 <= high + 2e-9
                totals += (plain, debiased, high - low)
            plain, debiased, width = totals / runs
            yield (
                f"| {count} | {n} | {true:.2f} | {plain:.3f} | {debiased:.3f} "
                f"| {least(covered / runs, COVER, runs)} | {width:.3f} |"
            )


def judges(effort: Effort) -> Iterator[str]:
    yield "| People's labels | Judge right | Coverage | Width | Width from people alone |"
    yield "|--:|--:|--:|--:|--:|"
    for n in (10, 20, 50, 200):
        for accuracy in (0.7, 0.95):
            generator, runs = effort.generator("ppi", n, accuracy), effort.of(2)
            covered, width, alone = 0, 0.0, 0.0
            for _ in range(runs):
                truth = (generator.random(n + 1000) < 0.6).astype(float)
                judged = np.where(generator.random(n + 1000) < accuracy, truth, 1.0)
                found = prediction_powered_mean(truth[:n].tolist(), judged[:n].tolist(), judged[n:].tolist())
                covered += found.interval[0] <= 0.6 <= found.interval[1]
                width += found.interval[1] - found.interval[0]
                alone += found.people_interval[1] - found.people_interval[0]
            yield (
                f"| {n} | {accuracy:.0%} | {least(covered / runs, COVER, runs)} "
                f"| {width / runs:.3f} | {alone / runs:.3f} |"
            )
