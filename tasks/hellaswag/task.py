"""HellaSwag's texts carry marks of the web pages they were taken from; they are cleaned before the model sees them."""

from __future__ import annotations

import re
from typing import Any

_BRACKETED = re.compile(r"\[.*?\]")


def clean(row: dict[str, Any]) -> dict[str, Any]:
    """Adds ``query`` (activity and context) and ``endings_clean``, cleaned as lm-evaluation-harness cleans them."""
    context = row["ctx_a"] + " " + row["ctx_b"].capitalize()
    return {
        **row,
        "query": _tidy(row["activity_label"] + ": " + context),
        "endings_clean": [_tidy(ending) for ending in row["endings"]],
    }


def _tidy(text: str) -> str:
    """WikiHow's step titles become sentences, other bracketed marks go, and pairs of spaces become one."""
    text = text.strip().replace(" [title]", ". ")
    return _BRACKETED.sub("", text).replace("  ", " ")
