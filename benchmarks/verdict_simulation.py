"""Simulate what evalkit's intervals, tests and looks promise, from the functions that the commands use.

Prints the Markdown tables of docs/statistics.md:

    python benchmarks/verdict_simulation.py [--quick] [--runs 2000] [--seed 1] [--only clusters] [--output table.md]

Coverage is that of 95 % intervals: the truth counts as covered where neither tail's p-value is below 2.5 %, which is
what the intervals are made of (tests/test_statistics.py holds them to it); the mean width comes from the intervals
themselves. A cell that does not hold by more than the simulation's error is set in bold.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from verdicts.clustered import clusters, group_passes, groups, variants
from verdicts.commands import flips, outcome_of_flips, shown_of_flips, tails_of_flips
from verdicts.corpora import corpus
from verdicts.decisions import boards, gate, looks, looks_at_several, looks_uncorrected, several_tasks, win_rates
from verdicts.drawing import Effort
from verdicts.estimates import calibration, judges, spread
from verdicts.methods import methods
from verdicts.pairs import false_passes, paired_bounded, paired_shares
from verdicts.single import bounded_means, one_share

TABLES: dict[str, tuple[str, Callable[[Effort], Iterator[str]]]] = {
    "shares": ("One run: shares", one_share),
    "bounded": ("One run: bounded means, coverage (limit 0.935) and width", bounded_means),
    "methods": ("Bounded means by several methods, coverage (limit 0.935) and width", methods),
    "paired": ("Pairs: shares, coverage (limit 0.935; 0.91 with fewer than 10 flips) and width", paired_shares),
    "pairs": ("Pairs: bounded means, false alarms (limit 0.055) and width", paired_bounded),
    "passes": ("False passes", false_passes),
    "gate": ("The gate's exit codes", gate),
    "clusters": ("Clusters", clusters),
    "groups": ("Groups of tasks", groups),
    "group passes": ("Groups of tasks: false passes", group_passes),
    "variants": ("Variants of one question", variants),
    "corpus": ("Corpus metrics", corpus),
    "calibration": ("Expected calibration error", calibration),
    "spread": ("Spread of variants", spread),
    "judges": ("Judges with some labels of people", judges),
    "boards": ("Boards", boards),
    "win rates": ("Boards by win rate", win_rates),
    "looks": ("Stop when it is decided", looks),
    "uncorrected": ("Looks without a correction", looks_uncorrected),
    "several looks": ("Stop when it is decided: several tasks", looks_at_several),
    "several": ("Several tasks as one", several_tasks),
}


def main() -> None:
    """Print the tables, and write them where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=2000, help="draws of a plain cell; slower cells get fewer")
    parser.add_argument("--quick", action="store_true", help="300 draws: minutes become one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=list(TABLES), help="some tables instead of all")
    parser.add_argument("--output", type=Path, help="also write the tables to this file")
    options = parser.parse_args()
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    for name in options.only or TABLES:
        title, table = TABLES[name]
        started = time.perf_counter()
        effort = Effort(300 if options.quick else options.runs, options.seed)
        say(f"### {title}\n")
        for line in table(effort):
            say(line)
        say(f"\n{effort.told()}\n")
        print(f"<!-- {time.perf_counter() - started:.0f} s -->\n", flush=True)
        for cached in (flips, outcome_of_flips, shown_of_flips, tails_of_flips):
            cached.cache_clear()
    if options.output is not None:
        options.output.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
