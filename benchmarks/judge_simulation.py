"""Do the intervals of judges hold what they promise? Simulated judgings whose truth is known.

    python benchmarks/judge_simulation.py [--draws 400]

Prints the share of draws whose 95 % interval holds the truth, and its mean width: of the win rate at equal lengths
(verdicts that are averaged over both orders, or of pairs of one question that are decided alike), of Bradley-Terry
ratings (with the judge's taste for length, held equal or not), and of rates corrected by people.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator

import numpy as np

from evalkit.judge.items import Items, rate_of
from evalkit.judge.ratings import Battle, bradley_terry
from evalkit.judge.style import Style, controlled

Range = tuple[float, float] | None
Draw = Callable[[np.random.Generator], Iterator[tuple[float, Range]]]


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def of_length(length: float) -> Style:
    return Style(max(0, int(length)), 0, 0, 0)


def length_control(n: int, ahead: float, alike: bool) -> Draw:
    """``ahead``: log-odds of a at equal lengths; the judge likes length. ``alike``: two pairs a question, one luck."""

    def draw(g: np.random.Generator) -> Iterator[tuple[float, Range]]:
        pairs = [(of_length(1000 + d), of_length(1000)) for d in g.normal(0, 300, n)]
        gaps = np.array([one.length - other.length for one, other in pairs], dtype=float)
        chances = 1 / (1 + np.exp(-(ahead + np.tanh(gaps / gaps.std()))))
        questions = np.arange(n) % (n // 2 if alike else n)
        points = (g.random(n)[questions] < chances).astype(float) if alike else g.binomial(2, chances) / 2
        found = controlled(pairs, points.tolist(), [str(one) for one in questions], ("length",))
        yield sigmoid(ahead), None if found is None else found.interval

    return draw


def ratings(models: int, battles: int, taste: float, hold: bool) -> Draw:
    def draw(g: np.random.Generator) -> Iterator[tuple[float, Range]]:
        strengths = np.linspace(-0.8, 0.8, models)
        found = []
        for number in range(battles):
            one, other = g.choice(models, 2, replace=False)
            lengths = g.integers(100, 2000, 2)
            gain = strengths[one] - strengths[other] + taste * math.tanh((lengths[0] - lengths[1]) / 775)
            style = (of_length(lengths[0]), of_length(lengths[1]))
            found.append(Battle(f"{one}", f"{other}", float(g.random() < sigmoid(gain)), str(number), style))
        for rated in bradley_terry(found, resamples=200, controls=("length",) if hold else ()).ratings:
            yield 1000 + 400 / math.log(10) * strengths[int(rated.model)], rated.interval

    return draw


def ratings_by_prompt(prompts: int, battles: int, spread: float) -> Draw:
    """Two models; a prompt favours one of them by a normal number of log-odds in all of its battles."""
    rng = np.random.default_rng(0)
    share = float((1 / (1 + np.exp(-(0.5 + rng.normal(0, spread, 1_000_000))))).mean())
    half = 200 * math.log10(share / (1 - share))

    def draw(g: np.random.Generator) -> Iterator[tuple[float, Range]]:
        found = [
            Battle("x", "y", float(g.random() < sigmoid(0.5 + favour)), str(prompt))
            for prompt, favour in enumerate(g.normal(0, spread, prompts))
            for _ in range(battles)
        ]
        for rated in bradley_terry(found, resamples=200).ratings:
            yield 1000 + (half if rated.model == "x" else -half), rated.interval

    return draw


def by_people(labels: int, items: int, errs: float) -> Draw:
    """A judge that says yes of a share ``errs`` of the noes; people label some."""

    def draw(g: np.random.Generator) -> Iterator[tuple[float, Range]]:
        truth = (g.random(items) < 0.7).astype(float)
        judged = np.where(g.random(items) < errs, 1.0, truth)
        people = tuple(float(one) if place < labels else None for place, one in enumerate(truth))
        found = rate_of(Items(tuple(map(str, range(items))), tuple(judged.tolist()), people, (0.0, 1.0)))
        yield 0.7, None if found is None else found.interval

    return draw


CASES: dict[str, Draw] = {
    **{
        f"length control, {n} pairs, log-odds {ahead:g}{', two alike a question' if alike else ''}": length_control(
            n, ahead, alike
        )
        for alike in (False, True)
        for n in (12, 20, 50, 200)
        for ahead in (0.0, 1.0)
    },
    "ratings, 2 models, 12 battles": ratings(2, 12, 0.0, False),
    "ratings, 3 models, 60 battles": ratings(3, 60, 0.0, False),
    "ratings, 5 models, 300 battles": ratings(5, 300, 0.0, False),
    "ratings, 3 models, 150 battles, taste for length held equal": ratings(3, 150, 1.0, True),
    "ratings, 3 models, 150 battles, taste for length not held equal": ratings(3, 150, 1.0, False),
    "ratings, 2 models, 15 prompts of 8 battles": ratings_by_prompt(15, 8, 1.5),
    "ratings, 2 models, 40 prompts of 8 battles": ratings_by_prompt(40, 8, 1.5),
    **{
        f"corrected by {labels} labels, {items} items, judge errs in {errs:.0%} of noes": by_people(labels, items, errs)
        for labels, items in ((20, 200), (50, 1000), (200, 1000))
        for errs in (0.05, 0.3)
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print("| what | held the truth | mean width | no interval |\n|---|--:|--:|--:|")
    for name, draw in CASES.items():
        generator = np.random.default_rng(asked.seed)
        count = max(asked.draws // 4, 20) if name.startswith("ratings") else asked.draws
        drawn = [one for _ in range(count) for one in draw(generator)]
        told = [(truth, interval) for truth, interval in drawn if interval is not None]
        held = sum(low <= truth <= high for truth, (low, high) in told) / len(told)
        width = sum(high - low for _, (low, high) in told) / len(told)
        print(f"| {name} | {held:.3f} | {width:.3g} | {1 - len(told) / len(drawn):.3f} |", flush=True)


if __name__ == "__main__":
    main()
