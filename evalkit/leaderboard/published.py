"""Published numbers from CSV: facts with their source, shown beside measured ones and marked.

Columns: model, task, metric, value and source are needed; unit ("%" divides by 100), num_fewshot, parameters (in
billions), type, precision, quantization, backend, hardware, date and higher_is_better (true or false; left out, as
evalkit's metric of that name has it, else true) may be there. The task "counters" carries performance, with the
counter's dotted name as the metric. One entry is made of the rows of one model on one hardware.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evalkit.contract.errors import UserError
from evalkit.leaderboard.entry import Entry, Model, Result, Score
from evalkit.metrics import finding
from evalkit.spec.strict import mistake
from evalkit.store.paths import share
from evalkit.text.reading import read_text

NEEDED = ("model", "task", "metric", "value", "source")
ALLOWED = {
    *NEEDED,
    *(
        "unit",
        "num_fewshot",
        "parameters",
        "type",
        "precision",
        "quantization",
        "backend",
        "hardware",
        "date",
        "higher_is_better",
    ),
}
COUNTERS = "counters"


def shipped(name: str) -> list[Entry]:
    """Entries of leaderboards/published/NAME.csv."""
    return read_csv(share("leaderboards") / "published" / f"{name}.csv")


def read_csv(path: Path) -> list[Entry]:
    """Entries of a CSV file, in its order. Raises UserError that names file, line and what is wrong."""
    reader = csv.DictReader(io.StringIO(read_text(path, "CSV file")))
    header = reader.fieldnames or []
    if missing := [name for name in NEEDED if name not in header]:
        raise UserError(f"{path}:1: no column {missing[0]!r}: needed are {', '.join(NEEDED)}")
    if strange := [name for name in header if name not in ALLOWED]:
        raise UserError(f"{path}:1: unknown column {strange[0]!r}: allowed are {', '.join(sorted(ALLOWED))}")
    rows: dict[tuple[str, ...], list[tuple[int, dict[str, str]]]] = {}
    for row in reader:
        line = reader.line_num
        if None in row or None in row.values():
            raise UserError(f"{path}:{line}: has not as many fields as the header")
        clean = {name: value.strip() for name, value in row.items()}
        key = tuple(
            clean.get(name, "") for name in ("model", "quantization", "precision", "backend", "hardware", "source")
        )
        rows.setdefault(key, []).append((line, clean))
    return [_entry(path, found) for found in rows.values()]


def _entry(path: Path, rows: list[tuple[int, dict[str, str]]]) -> Entry:
    results: dict[str, dict[str, Any]] = {}
    counters: dict[str, float] = {}
    for line, row in rows:
        value = _number(path, line, row, "value")
        if value is None:
            continue
        if row["task"] == COUNTERS:
            counters[row["metric"]] = value
            continue
        shots = _number(path, line, row, "num_fewshot")
        key = row["metric"] if "," in row["metric"] else f"{row['metric']},none"
        share_of_one = row.get("unit") == "%"
        found = results.setdefault(row["task"], {"num_fewshot": shots, "primary": key, "metrics": {}})
        if found["num_fewshot"] != shots:
            raise UserError(f"{path}:{line}: {row['task']} has two different num_fewshot for one model")
        found["metrics"][key] = Score(
            value=round(value / 100, 8) if share_of_one else value,
            proportion=share_of_one,
            higher_is_better=_rising(path, line, row),
        )
    line, first = rows[0]
    size = _number(path, line, first, "parameters")
    try:
        return Entry(
            kind="published",
            date=first.get("date", ""),
            model=Model(
                name=first["model"],
                type=first.get("type") or "pretrained",
                parameters=None if size is None else size * 1e9,
                precision=first.get("precision", ""),
                quantization=first.get("quantization", ""),
                backend=first.get("backend", ""),
            ),
            hardware=first.get("hardware", ""),
            results={name: Result(**found) for name, found in results.items()},
            counters=counters,
            source=first["source"],
        )
    except ValidationError as error:
        wrong = mistake(error)
        raise UserError(f"{path}:{line}: {wrong.where}: {wrong.message}") from None


def _rising(path: Path, line: int, row: Mapping[str, str]) -> bool:
    told = row.get("higher_is_better", "").lower()
    if told not in ("", "true", "false"):
        raise UserError(f"{path}:{line}: higher_is_better is {told!r}; write true or false")
    known = finding.direction(row["metric"].partition(",")[0])
    return told == "true" if told else known is not False


def _number(path: Path, line: int, row: Mapping[str, str], name: str) -> float | None:
    text = row.get(name, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{path}:{line}: {name} is {text!r}, not a number")
    return value
