"""Pairs of answers: which is better, asked in both orders, so that a taste for the first place shows instead of
counting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evalkit.contract.types import Response
from evalkit.judge.agreement import Agreement, agreement
from evalkit.judge.asking import Judge, Row, require
from evalkit.judge.items import LABELS, Items, Rate, ids_of, people_of, rate_of, reasons
from evalkit.judge.prompts import PAIRWISE
from evalkit.judge.reading import Unread, preference
from evalkit.judge.style import Control, Controlled, controlled, style_of
from evalkit.statistics.choice import interval_for
from evalkit.statistics.shares import share_interval

Winner = Literal["a", "b", "tie"]
_POINTS: dict[Winner, float] = {"a": 1.0, "b": 0.0, "tie": 0.5}
_NAMES: dict[float, Winner] = {points: name for name, points in _POINTS.items()}


@dataclass(frozen=True, slots=True)
class Judged:
    """One pair. ``forward`` and ``backward`` are the verdicts with a and with b in the first place, in terms of a and b
    (None: unread or failed). ``winner``: what both say; a tie where they contradict each other; None where one is
    missing.
    """

    forward: Winner | None
    backward: Winner | None

    @property
    def winner(self) -> Winner | None:
        if self.forward is None or self.backward is None:
            return None
        return self.forward if self.forward == self.backward else "tie"

    @property
    def points(self) -> float | None:
        """1 where a wins, 0 where b does, a half for ties."""
        return None if self.winner is None else _POINTS[self.winner]


@dataclass(frozen=True, slots=True)
class Pairwise:
    """The outcome over all pairs. ``win_rate`` is a's, ties as halves, with the score interval of a bounded mean; pairs
    of one prompt (`prompts_of`) are taken together in every interval.

    ``first_place``: among verdicts that name a winner, the share that name the answer in the first place (0.5 without
    bias; `statistics.shares`). ``consistency``: the share of pairs with the same verdict in both orders.
    ``length_controlled``, ``style_controlled``: a's win rate where both answers are equally long, or also hold as much
    Markdown (`judge.style`), with their intervals; None where it cannot be told. ``n_unparsed`` pairs lack a verdict;
    ``unread`` counts replies by the reason. ``debiased``: the win rate as people would see it, if they labelled some.
    """

    judged: tuple[Judged, ...]
    win_rate: float | None
    win_rate_interval: tuple[float, float] | None
    length_controlled: float | None
    length_controlled_interval: tuple[float, float] | None
    style_controlled: float | None
    style_controlled_interval: tuple[float, float] | None
    style_effects: dict[str, float]
    first_place: float | None
    first_place_interval: tuple[float, float] | None
    consistency: float | None
    n_unparsed: int
    unread: dict[str, int]
    human: Agreement | None
    debiased: Rate | None
    kind: str
    items: Items
    replies: tuple[str | None, ...]
    """What the judge wrote, two a pair; None where it failed."""
    record: dict[str, Any]


AskPairs = Callable[[Judge, Sequence[tuple[Row, str, str]]], list[Response]]
"""Asks of (row, side shown first, side shown second)."""


def judge_pairs(
    judge: Judge,
    rows: Sequence[Row],
    template: str = PAIRWISE,
    where: str = "pairs",
    ask: AskPairs | None = None,
) -> Pairwise:
    """Judge rows {"question", "a", "b"}, with an optional "id", "prompt" (what several rows belong to), "reference" and
    a person's verdict "human" (a, b, tie). ``ask`` asks in place of ``template``.

    UserError for rows that lack a text, and for other labels.
    """
    require(rows, ("question", "a", "b"), where)
    people, ids = people_of("pairwise", rows, where), ids_of(rows, where)
    asked = []
    for row in rows:
        for first, second in (("a", "b"), ("b", "a")):
            asked.append(
                {
                    "question": row["question"],
                    "reference": row.get("reference") or "",
                    "first": row[first],
                    "second": row[second],
                }
            )
    if ask is None:
        replies = judge.ask("pairwise", template, asked)
    else:
        replies = ask(judge, [(row, *order) for row in rows for order in (("a", "b"), ("b", "a"))])
    read = [preference(reply) for reply in replies]
    letters = [None if isinstance(one, Unread) else one for one in read]
    judged = tuple(
        Judged(_winner(letters[place], "a", "b"), _winner(letters[place + 1], "b", "a"))
        for place in range(0, len(letters), 2)
    )
    items = Items(ids, tuple(one.points for one in judged), people, LABELS["pairwise"][2])
    return _summary(judged, rows, letters, items, reasons(read), tuple(one.text for one in replies), judge.record())


def _winner(letter: str | None, first: Winner, second: Winner) -> Winner | None:
    return {"A": first, "B": second, "C": "tie"}[letter] if letter is not None else None  # type: ignore[return-value]


def _summary(
    judged: tuple[Judged, ...],
    rows: Sequence[Row],
    letters: Sequence[str | None],
    items: Items,
    unread: dict[str, int],
    replies: tuple[str | None, ...],
    record: dict[str, Any],
) -> Pairwise:
    points = [one for one in items.values if one is not None]
    prompts = [one for one, value in zip(prompts_of(rows), items.values, strict=True) if value is not None]
    decisive = [letter for letter in letters if letter in ("A", "B")]
    first = decisive.count("A")
    parsed = [one for one in judged if one.winner is not None]
    labelled = [
        (_NAMES[person], one.winner)
        for person, one in zip(items.people, judged, strict=True)
        if person is not None and one.winner is not None
    ]
    length, style = (held_equal(rows, judged, controls) for controls in (("length",), ("length", "markdown")))
    return Pairwise(
        judged=judged,
        win_rate=sum(points) / len(points) if points else None,
        win_rate_interval=_interval(points, prompts) if points else None,
        length_controlled=None if length is None else length.rate,
        length_controlled_interval=None if length is None else length.interval,
        style_controlled=None if style is None else style.rate,
        style_controlled_interval=None if style is None else style.interval,
        style_effects={} if style is None else style.effects,
        first_place=first / len(decisive) if decisive else None,
        first_place_interval=share_interval(first, len(decisive)) if decisive else None,
        consistency=sum(one.forward == one.backward for one in parsed) / len(parsed) if parsed else None,
        n_unparsed=sum(one.winner is None for one in judged),
        unread=unread,
        human=agreement([one for one, _ in labelled], [one for _, one in labelled]) if labelled else None,
        debiased=rate_of(items),
        kind="pairwise",
        items=items,
        replies=replies,
        record=record,
    )


def win_rate(rows: Sequence[Row], judged: Sequence[Judged]) -> tuple[float | None, tuple[float, float] | None, int]:
    """a's win rate over the pairs with a verdict, ties as halves; its interval over prompts; how many pairs."""
    known = [(prompt, one.points) for prompt, one in zip(prompts_of(rows), judged, strict=True)]
    points = [value for _, value in known if value is not None]
    if not points:
        return None, None, 0
    prompts = [prompt for prompt, value in known if value is not None]
    return sum(points) / len(points), _interval(points, prompts), len(points)


def prompts_of(rows: Sequence[Row]) -> list[str]:
    """What each pair belongs to: its "prompt" (a conversation of several turns), else its question."""
    return [str(row.get("prompt") or row["question"]) for row in rows]


def _interval(points: Sequence[float], prompts: Sequence[str]) -> tuple[float, float] | None:
    several = len(set(prompts)) < len(prompts)
    return interval_for(points, bounds=(0.0, 1.0), clusters=list(prompts) if several else None).interval()


def held_equal(rows: Sequence[Row], judged: Sequence[Judged], controls: Sequence[Control]) -> Controlled | None:
    """a's win rate where both answers look alike in ``controls``; None where it cannot be told. Where all verdicts are
    the same, the looks change nothing: it is the win rate.
    """
    known = [
        (prompt, style_of(row["a"]), style_of(row["b"]), one.points)
        for prompt, row, one in zip(prompts_of(rows), rows, judged, strict=True)
        if one.points is not None
    ]
    points = [one for *_, one in known]
    if len(points) >= 4 and len(set(points)) == 1:
        return Controlled(points[0], _interval(points, [prompt for prompt, *_ in known]), (), {})
    return controlled([(a, b) for _, a, b, _ in known], points, [prompt for prompt, *_ in known], controls)


def battles(rows: Sequence[Row], judged: Sequence[Judged], models: tuple[str, str]) -> list[dict[str, Any]]:
    """What `evalkit judge ratings` reads: a row a judged pair, {model_a, model_b, winner, prompt, a, b}."""
    named = zip(prompts_of(rows), rows, judged, strict=True)
    return battle_rows(
        [
            {**row, "model_a": models[0], "model_b": models[1], "winner": one.winner, "prompt": prompt}
            for prompt, row, one in named
        ]
    )


_BATTLE = ("model_a", "model_b", "winner", "prompt", "a", "b")


def battle_rows(verdicts: Sequence[Row]) -> list[dict[str, Any]]:
    """Verdicts of known models as `battles` gives them; those without a winner are left out."""
    return [{name: row[name] for name in _BATTLE} for row in verdicts if row["winner"] is not None]
