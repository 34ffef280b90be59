"""TruthfulQA's MC2 has several true answers to a question; the data mark them with a 1."""

from __future__ import annotations

from typing import Any


def mark_true(row: dict[str, Any]) -> dict[str, Any]:
    """Adds ``true_answers``: the indices of the true ones among mc2_targets.choices."""
    return {**row, "true_answers": [index for index, label in enumerate(row["mc2_targets"]["labels"]) if label == 1]}
