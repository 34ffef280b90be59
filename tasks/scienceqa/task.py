"""Rows of ScienceQA with the letters of their options, and whether they have a picture."""

from __future__ import annotations

from typing import Any

LETTERS = "ABCDEFGHIJ"


def with_letters(row: dict[str, Any]) -> dict[str, Any]:
    """The row with ``letters`` and ``pictured``."""
    options = row["choices"]
    if not 2 <= len(options) <= len(LETTERS):
        raise ValueError(f"{len(options)} options, of 2 to {len(LETTERS)}")
    return {**row, "letters": list(LETTERS[: len(options)]), "pictured": row["image"] is not None}
