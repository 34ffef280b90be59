"""People's votes on battles, and how far a judge agrees with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from evalkit.contract.errors import UserError
from evalkit.judge.agreement import Agreement, agreement
from evalkit.judge.asking import Row
from evalkit.judge.battles import points_of

Key = tuple[str, str, str]
"""Question with its turn ("81:1"), model a, model b."""
_NAMES = {1.0: "a", 0.0: "b", 0.5: "tie"}


@dataclass(frozen=True, slots=True)
class People:
    """``every``: the judge's verdict against each vote. ``decided``: without ties on either side, as MT-Bench's second
    set-up has it (arXiv 2306.05685, table 5). ``among``: two people's votes of one battle against each other; None
    where no battle has two. ``unmatched``: votes on battles that were not judged.
    """

    every: Agreement | None
    decided: Agreement | None
    among: Agreement | None
    unmatched: int


def read_votes(rows: Sequence[Row], where: str) -> list[tuple[Key, float]]:
    """Rows {"question_id" or "id", "turn"?, "model_a", "model_b", "winner"}, as MT-Bench's human judgments are written
    (turns from 1). UserError for a row that is no vote.
    """
    votes = []
    for number, row in enumerate(rows, 1):
        name = next((row[key] for key in ("question_id", "id") if row.get(key) is not None), None)
        points = points_of(row.get("winner"))
        if name is None or points is None or not row.get("model_a") or not row.get("model_b"):
            raise UserError(
                f"{where}: row {number}: write question_id, turn, model_a, model_b, and winner: a, b or tie"
            )
        votes.append(((f"{name}:{row.get('turn') or 1}", str(row["model_a"]), str(row["model_b"])), points))
    return votes


def with_people(judged: Mapping[Key, float], votes: Sequence[tuple[Key, float]]) -> People:
    """``judged``: the judge's points of a by battle. A vote on the models in the other order counts turned round."""
    pairs: list[tuple[str, str]] = []
    by_battle: dict[Key, list[str]] = {}
    unmatched = 0
    for (question, a, b), points in votes:
        key, vote = (question, a, b), points
        if key not in judged:
            key, vote = (question, b, a), 1 - points
        if key not in judged:
            unmatched += 1
            continue
        pairs.append((_NAMES[vote], _NAMES[judged[key]]))
        by_battle.setdefault(key, []).append(_NAMES[vote])
    decided = [pair for pair in pairs if "tie" not in pair]
    among = [pair for one in by_battle.values() for pair in combinations(one, 2)]
    return People(_agreement(pairs), _agreement(decided), _agreement(among), unmatched)


def _agreement(pairs: Sequence[tuple[str, str]]) -> Agreement | None:
    return agreement([one for one, _ in pairs], [other for _, other in pairs]) if pairs else None
