"""Measures the graders that ship with evalkit on the labelled sets of a mirror (EVALKIT_DATA_DIR), and writes
evalkit/probes/grading/measured.json and the table of docs/probes.md: `python scripts/grader_figures.py`; `--check` only
compares.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from evalkit.data import open_source
from evalkit.judge.labelled import USUAL, labelled
from evalkit.judge.validation import Agreement, Figure, Validation, validate
from evalkit.probes.grading.finding import grader
from evalkit.probes.grading.measured import SHIPPED

PAGE = Path(__file__).parents[1] / "docs" / "probes.md"
BEGIN, END = "<!-- graders: written by scripts/grader_figures.py -->", "<!-- end of graders -->"
GRADERS = ("lexical", "embedding")


def record(found: Validation) -> dict[str, object]:
    """What stands in measured.json, to six digits."""
    span = found.kappa.interval
    return {
        "kappa": round(found.kappa.value or 0.0, 6),
        "kappa_interval": [round(end, 6) for end in span] if span else None,
        "sets": [one.name for one in found.sets],
        "n": sum(one.n for one in found.sets),
        "by_set": {
            one.name: {name: round(getattr(one, name).value, 9) for name in ("kappa", "roc_auc", "balanced_accuracy")}
            for one in found.sets
        },
    }


def table(every: dict[str, Validation]) -> str:
    """A row for each set and grader."""
    lines = [BEGIN, "", "| set | texts (sources) | supported | grader | balanced accuracy | ROC AUC | kappa |",
             "|:--|--:|--:|:--|--:|--:|--:|"]  # fmt: skip
    for place in range(len(USUAL)):
        lines += [_row(name, found.sets[place]) for name, found in every.items()]
    for name, found in every.items():
        figures = " | ".join(map(_text, (found.balanced_accuracy, found.roc_auc, found.kappa)))
        lines.append(f"| mean of the sets | {sum(one.n for one in found.sets):,} | | {name} | {figures} |")
    return "\n".join([*lines, "", END])


def _row(name: str, one: Agreement) -> str:
    figures = " | ".join(map(_text, (one.balanced_accuracy, one.roc_auc, one.kappa)))
    return f"| {one.name} | {one.n:,} ({one.clusters:,}) | {one.supported / one.n:.0%} | {name} | {figures} |"


def _text(one: Figure) -> str:
    span = "" if one.interval is None else f" ({one.interval[0]:.2f} to {one.interval[1]:.2f})"
    return "–" if one.value is None else f"{one.value:.2f}{span}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    sets = [labelled(name, open_source(None)) for name in USUAL]
    every = {name: validate(grader(name, {}), sets) for name in GRADERS}
    measured = json.dumps({one.grader: record(one) for one in every.values()}, indent=1) + "\n"
    text = PAGE.read_text("utf-8")
    head, _, rest = text.partition(BEGIN)
    page = head + table(every) + rest.partition(END)[2]
    if check:
        return int(measured != SHIPPED.read_text("utf-8") or page != text)
    SHIPPED.write_text(measured, "utf-8")
    PAGE.write_text(page, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
