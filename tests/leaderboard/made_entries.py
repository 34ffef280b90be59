"""Entries with known contents."""

from __future__ import annotations

from typing import Any

from evalkit.leaderboard.board import Board, Column
from evalkit.leaderboard.entry import Entry, Model, Result, Score

BOARD = Board(
    name="test",
    title="Test board",
    columns=(
        Column(title="A", task="a", metric="acc,none", num_fewshot=0),
        Column(title="B", task="b", weight=3),
        Column(title="Speed", counter="throughput.decode_tokens_per_s", unit="tok/s", weight=0),
    ),
)


def result(value: float, *, n: int = 1000, n_total: int | None = None, shots: int = 0, **changes: Any) -> Result:
    """An accuracy with its binomial standard error."""
    stderr = (value * (1 - value) / n) ** 0.5 if n else None
    score = Score(value=value, stderr=stderr, n=n, proportion=True)
    if stderr is not None:
        score = score.model_copy(update={"interval": (value - 1.96 * stderr, value + 1.96 * stderr)})
    n_total = n if n_total is None else n_total
    return Result(num_fewshot=shots, n=n, n_total=n_total, primary="acc,none", metrics={"acc,none": score}, **changes)


def entry(name: str, a: float | None, b: float | None, **changes: Any) -> Entry:
    """An entry with tasks a and b; ``changes`` go to the model where they are its fields."""
    facts = {key: changes.pop(key) for key in list(changes) if key in Model.model_fields}
    results = {task: result(value) for task, value in (("a", a), ("b", b)) if value is not None}
    plain: dict[str, Any] = {"date": "2026-01-02T03:04:05", "results": results}
    return Entry(model=Model(name=name, **{"fingerprint": name[:64], **facts}), **{**plain, **changes})
