"""Published numbers from CSV: facts with their source, shown beside measured ones and marked.

Needed are model, metric, value, source and either task (evalkit's name of what was measured) or benchmark (the source's
name of it, where no task here measures it). Further columns: `ALLOWED`. The task "counters" carries performance, with
the counter's dotted name as the metric; ``differs`` says in which way the source measured a task otherwise than evalkit
does. One entry is made of the rows of one model, variant, hardware and source; where these measured a task in several
ways (shots, protocol), each way is an entry of its own.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evalkit.contract.errors import UserError
from evalkit.leaderboard.entry import Entry, Model, Result, Score
from evalkit.metrics import finding
from evalkit.spec.strict import mistake
from evalkit.store.paths import share
from evalkit.text.reading import read_text

NEEDED = ("model", "metric", "value", "source")
MODEL = ("model", "variant", "parameters", "type", "precision", "quantization", "backend", "hardware")
ALLOWED = (
    *MODEL,
    *("benchmark", "task", "metric", "num_fewshot", "value", "unit", "higher_is_better"),
    *("protocol", "differs", "date", "source", "note"),
)
"""Every column, in the order that the shipped files have."""
COUNTERS = "counters"
_ONE = ("model", "variant", "quantization", "precision", "backend", "hardware", "source")
_WAY = ("num_fewshot", "differs")

Line = tuple[int, dict[str, str]]


def names() -> list[str]:
    """The files of leaderboards/published, without their ending."""
    return sorted(path.stem for path in (share("leaderboards") / "published").glob("*.csv"))


def shipped(name: str) -> list[Entry]:
    """Entries of leaderboards/published/NAME.csv."""
    return read_csv(share("leaderboards") / "published" / f"{name}.csv")


def read_csv(path: Path) -> list[Entry]:
    """Entries of a CSV file, in its order. Raises UserError that names file, line and what is wrong."""
    reader = csv.DictReader(io.StringIO(read_text(path, "CSV file")))
    header = reader.fieldnames or []
    if missing := [name for name in NEEDED if name not in header]:
        raise UserError(f"{path}:1: no column {missing[0]!r}: needed are {', '.join(NEEDED)}, and task or benchmark")
    if strange := [name for name in header if name not in ALLOWED]:
        raise UserError(f"{path}:1: unknown column {strange[0]!r}: allowed are {', '.join(sorted(ALLOWED))}")
    if not {"task", "benchmark"} & set(header):
        raise UserError(f"{path}:1: no column 'task' and none 'benchmark': one says what was measured")
    rows: dict[tuple[str, ...], list[list[Line]]] = {}
    for row in reader:
        line = reader.line_num
        if None in row or None in row.values():
            raise UserError(f"{path}:{line}: has not as many fields as the header")
        clean = {name: value.strip() for name, value in row.items()}
        if not _task(clean):
            raise UserError(f"{path}:{line}: neither task nor benchmark: one says what was measured")
        _place(path, line, clean, rows.setdefault(tuple(clean.get(name, "") for name in _ONE), []))
    return [_entry(path, found) for entries in rows.values() for found in entries]


def _task(row: Mapping[str, str]) -> str:
    return row.get("task") or row.get("benchmark", "")


def _place(path: Path, line: int, row: dict[str, str], entries: list[list[Line]]) -> None:
    """Into the first of a model's entries that has no other number, shots or difference for the row's task."""
    for found in entries:
        same = [(number, other) for number, other in found if _task(other) == _task(row)]
        if any(other.get(name, "") != row.get(name, "") for _, other in same for name in _WAY):
            continue
        before = next(((number, other) for number, other in same if other["metric"] == row["metric"]), None)
        if before is None:
            found.append((line, row))
            return
        if before[1].get("protocol", "") == row.get("protocol", ""):
            raise UserError(f"{path}:{line}: says once more what line {before[0]} says: keep one of them")
    entries.append([(line, row)])


def _entry(path: Path, rows: Sequence[Line]) -> Entry:
    results: dict[str, dict[str, Any]] = {}
    counters: dict[str, float] = {}
    for line, row in rows:
        value = _number(path, line, row, "value")
        if value is None:
            continue
        if _task(row) == COUNTERS:
            counters[row["metric"]] = value
            continue
        key = row["metric"] if "," in row["metric"] else f"{row['metric']},none"
        share_of_one = row.get("unit") == "%"
        found = results.setdefault(
            _task(row),
            {
                "num_fewshot": _number(path, line, row, "num_fewshot"),
                "primary": key,
                "metrics": {},
                "protocol": "",
                "differs": row.get("differs", ""),
                "note": "",
            },
        )
        for name in ("protocol", "note"):
            if row.get(name) and row[name] not in found[name]:
                found[name] = "; ".join(text for text in (found[name], row[name]) if text)
        found["metrics"][key] = Score(
            value=round(value / 100, 8) if share_of_one else value,
            proportion=share_of_one,
            higher_is_better=_rising(path, line, row),
            unit="" if share_of_one else row.get("unit", ""),
        )
    line, first = rows[0]
    size = _number(path, line, first, "parameters")
    try:
        return Entry(
            kind="published",
            date=first.get("date", ""),
            model=Model(
                name=f"{first['model']} ({first['variant']})" if first.get("variant") else first["model"],
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
