"""Rows of MMBench: four columns of options, of which the last ones may be empty ("nan" in the published tables)."""

from __future__ import annotations

from typing import Any

LETTERS = "ABCD"


def with_options(row: dict[str, Any]) -> dict[str, Any]:
    """The row with ``listed`` options, their ``letters``, and the hint as ``context``."""
    listed = [str(row[letter]) for letter in LETTERS if not _empty(row[letter])]
    return {
        **row,
        "listed": listed,
        "letters": list(LETTERS[: len(listed)]),
        "context": "" if _empty(row.get("hint")) else str(row["hint"]),
    }


def _empty(value: Any) -> bool:
    return value is None or str(value).strip().lower() in ("", "nan")
