"""Battles out of rows, as judges and arenas write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast, get_args

from evalkit.contract.errors import UserError
from evalkit.judge.asking import Row
from evalkit.judge.ratings import Battle
from evalkit.judge.style import Control, style_of

_POINTS = {
    "a": 1.0, "model_a": 1.0, "b": 0.0, "model_b": 0.0,
    "tie": 0.5, "tie (bothbad)": 0.5, "both_bad": 0.5, "bothbad": 0.5,
}  # fmt: skip
_PROMPTS = ("prompt", "question", "question_id", "id")


def points_of(winner: object) -> float | None:
    """a's points by a winner as judges and arenas write it ("a", "model_a", "tie", ...); None for another word."""
    return _POINTS.get(str(winner).strip().lower())


def read_battles(rows: Sequence[Row], where: str) -> list[Battle]:
    """Rows {"model_a", "model_b", "winner"}, with "prompt" (or "question", "question_id", "id") and the answers "a" and
    "b" where they are known. UserError for a row that is no battle.
    """
    battles = []
    for number, row in enumerate(rows, 1):
        points = points_of(row.get("winner"))
        if points is None or not row.get("model_a") or not row.get("model_b"):
            raise UserError(f"{where}: row {number}: write model_a, model_b, and winner: a, b or tie")
        prompt = next((str(row[name]) for name in _PROMPTS if row.get(name) not in (None, "")), "")
        answers = row.get("a"), row.get("b")
        style = (style_of(str(answers[0])), style_of(str(answers[1]))) if None not in answers else None
        battles.append(Battle(str(row["model_a"]), str(row["model_b"]), points, prompt, style))
    return battles


def read_controls(text: str) -> tuple[Control, ...]:
    """ "length,markdown" as controls; "" is none. UserError for another."""
    known = get_args(Control)
    found = tuple(one.strip() for one in text.split(",") if one.strip())
    for one in found:
        if one not in known:
            raise UserError(f"--control {one}: choose one of {', '.join(known)}")
    return cast("tuple[Control, ...]", tuple(dict.fromkeys(found)))
