"""Does the right answer's probability (p_gold) say what accuracy says? Runs of real models against one base.

    python benchmarks/p_gold.py runs/base runs/int8 runs/nf4 runs/lora runs/broken

Prints a Markdown table: both differences with their 95 % intervals on the same items, and how many times as many items
accuracy would need for an interval as narrow (the ratio of the variances), by the functions that the gate uses.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from evalkit.analysis import gold
from evalkit.analysis.baseline import load_scores
from evalkit.analysis.decision import Decision, decide_average, decide_task
from evalkit.analysis.pairing import pairs_of
from evalkit.analysis.scores import RunScores
from evalkit.text import numbers

WORDS = {"no difference shown": "none shown"}


def rows(base: RunScores, other: RunScores) -> Iterator[tuple[Decision, Decision]]:
    """(by the primary metric, by p_gold) of every task with choices, and of their average."""
    members = [
        (one, other.tasks[name], pairs_of(one, other.tasks[name]))
        for name, one in base.tasks.items()
        if name in other.tasks and gold.KEY in one.series
    ]
    for one, own, pairs in members:
        yield decide_task(one, own, one.primary, pairs), decide_task(one, own, gold.KEY, pairs)
    if len(members) > 1:
        found = (decide_average("average", members, key, "macro") for key in (None, gold.KEY))
        yield next(found), next(found)


def cell(found: Decision) -> str:
    """The difference with its interval and verdict."""
    difference = found.difference
    bounds = numbers.interval(difference.interval, True, plus=True)
    return f"{numbers.signed(difference.value or 0.0, True)} ({bounds}) {WORDS.get(found.verdict, found.verdict)}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("base", type=Path)
    parser.add_argument("candidates", type=Path, nargs="+")
    options = parser.parse_args()
    base = load_scores(options.base, p_gold=True)
    print(f"| {base.label} against | Task | Items | Accuracy | p_gold | Accuracy needs |")
    print("|:--|:--|--:|:--|:--|--:|")
    for path in options.candidates:
        other = load_scores(path, p_gold=True)
        for first, second in rows(base, other):
            before, now = first.difference.stderr or 0.0, second.difference.stderr or 0.0
            ratio = f"{(before / now) ** 2:.1f} times" if now and before else numbers.MISSING
            print(
                f"| {other.label} | {first.task} ({first.metric.removesuffix(',none')}) | {first.difference.n:,} | "
                f"{cell(first)} | {cell(second)} | {ratio} |"
            )


if __name__ == "__main__":
    main()
