"""Rows of MMMU: the options are a list of Python written as text, and some questions have none."""

from __future__ import annotations

import ast
from typing import Any

LETTERS = "ABCDEFGHIJ"
LONGEST = 20_000
"""Characters of a row's options."""


def with_options(row: dict[str, Any]) -> dict[str, Any]:
    """The row with ``listed`` options and their ``letters``. An open question has two letters and no right one, so that
    it is counted as not scored.
    """
    written = row["options"]
    if isinstance(written, str):
        if len(written) > LONGEST:
            raise ValueError(f"the options have {len(written):,} characters, of {LONGEST:,} at most")
        try:
            written = ast.literal_eval(written) if written.strip() else []
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise ValueError(f"the options are no list of Python: {written[:60]!r}") from None
    if not isinstance(written, list) or len(written) > len(LETTERS):
        raise ValueError(f"the options are no list of at most {len(LETTERS)}")
    listed = [str(one) for one in written]
    if len(listed) < 2:
        return {**row, "listed": [], "letters": ["A", "B"], "answer": None}
    return {**row, "listed": listed, "letters": list(LETTERS[: len(listed)])}
