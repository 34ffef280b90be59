"""Reading rows of a samples file: cells as Python values, metrics, the keys that join runs, a line for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.text.reading import parse_json

TITLE = 110
TITLE_FIELDS = (
    "question",
    "query",
    "ctx",
    "goal",
    "problem",
    "sentence",
    "premise",
    "source",
    "text",
    "input",
    "prompt",
)


def title_of(document: Any, prompt: Any) -> str:
    """A line of at most ``TITLE`` characters from a samples row's document (JSON text) and prompt."""
    fields, text = as_json(document), ""
    if isinstance(fields, Mapping):
        text = next((str(fields[name]) for name in TITLE_FIELDS if isinstance(fields.get(name), str)), "")
    line = " ".join((text or as_text(prompt)[-4 * TITLE :]).split())
    if len(line) <= TITLE:
        return line
    return line[:TITLE] + "…" if text else "…" + line[-TITLE:]


def join_keys(hashes: Sequence[str]) -> list[str]:
    """Document hashes made unique: the k-th copy of the same document gets "hash#k"."""
    seen: dict[str, int] = {}
    keys = []
    for value in hashes:
        count = seen.get(value, 0)
        seen[value] = count + 1
        keys.append(value if count == 0 else f"{value}#{count}")
    return keys


def metrics_of(row: Mapping[str, Any]) -> dict[str, float | None]:
    """The per-sample metrics of a samples row, NaN and missing as None."""
    values = row.get("metrics")
    return {str(name): as_number(value) for name, value in values.items()} if isinstance(values, Mapping) else {}


def as_list(value: Any) -> list[Any]:
    """A Parquet list cell (NumPy array, list or missing) as a list."""
    if value is None or isinstance(value, float | str):
        return []
    return list(value)


def as_number(value: Any) -> float | int | None:
    """A number cell, rounded to six digits; None for a missing or non-finite one."""
    if value is None or isinstance(value, str):
        return None
    number = float(value)
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() and abs(number) < 2**53 else round(number, 6)


def as_text(value: Any) -> str:
    """A text cell; "" for a missing one."""
    return value if isinstance(value, str) else ""


def as_json(value: Any) -> Any:
    """A JSON cell's value; text that is no JSON stays as it is. Non-finite numbers become their names."""
    if not isinstance(value, str):
        return None
    try:
        return parse_json(value, str)
    except ValueError:
        return value
