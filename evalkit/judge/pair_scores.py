"""Two answers graded side by side, as Vicuna's questions were (Chiang et al. 2023): a grade from 1 to 10 for each, in
both orders; a model's score relative to another's is the sum of its grades over the sum of the other's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.contract.types import Response
from evalkit.judge.asking import Judge, Row, require
from evalkit.judge.items import reasons
from evalkit.judge.prompts import PAIR_SCORES
from evalkit.judge.reading import HIGHEST, LOWEST, Unread
from evalkit.metrics.filters import strip_thinking
from evalkit.statistics.corpus import corpus_estimate

_NUMBER = r"(\d{1,2}(?:\.\d{1,3})?)(?:/10)?"
_TWO = re.compile(rf"(?<![\d.]){_NUMBER}[\s,;:|&]{{1,4}}(?:and\s)?{_NUMBER}(?![\d.])")
_LABELLED = re.compile(r"(?<![A-Za-z])([AB])\s{0,3}[:=]\s{0,3}(\d{1,2}(?:\.\d{1,3})?)(?![\d.])")


@dataclass(frozen=True, slots=True)
class PairScores:
    """``grades``: a's and b's of each pair, the mean of both orders; None where one order gave none. ``relative``: a's
    sum over b's, with its 95 % interval by the jackknife over prompts. ``first_gain``: how many points more an answer
    gets in the first place than in the second.
    """

    grades: tuple[tuple[float, float] | None, ...]
    relative: float | None
    interval: tuple[float, float] | None
    first_gain: float | None
    unread: dict[str, int]
    replies: tuple[str | None, ...]
    record: dict[str, Any]


def two_grades(response: Response) -> tuple[float, float] | Unread:
    """The grades of answers A and B: the first line's two numbers, or "A: 7, B: 8"."""
    if response.status != "ok" or response.text is None:
        return Unread.FAILED
    text = strip_thinking()(response.text).strip()
    line = text.split("\n", 1)[0][:200]
    named = dict(_LABELLED.findall(text[:2000]))
    found = _TWO.search(line)
    if len(named) == 2:
        one, other = float(named["A"]), float(named["B"])
    elif found:
        one, other = float(found[1]), float(found[2])
    else:
        return Unread.CUT if response.finish == "length" else Unread.MISSING
    return (one, other) if min(one, other) >= LOWEST and max(one, other) <= HIGHEST else Unread.RANGE


def score_pairs(judge: Judge, rows: Sequence[Row], template: str = PAIR_SCORES, where: str = "pairs") -> PairScores:
    """Grade rows {"question", "a", "b"}, with an optional "prompt" and "reference". UserError for rows without them."""
    require(rows, ("question", "a", "b"), where)
    asked = [
        {
            "question": row["question"],
            "reference": row.get("reference") or "",
            "first": row[first],
            "second": row[second],
        }
        for row in rows
        for first, second in (("a", "b"), ("b", "a"))
    ]
    replies = judge.ask("pair scores", template, asked)
    read = [two_grades(reply) for reply in replies]
    grades: list[tuple[float, float] | None] = []
    gains: list[float] = []
    for place in range(0, len(read), 2):
        forward, backward = read[place], read[place + 1]
        if isinstance(forward, Unread) or isinstance(backward, Unread):
            grades.append(None)
            continue
        grades.append(((forward[0] + backward[1]) / 2, (forward[1] + backward[0]) / 2))
        gains.append((forward[0] - backward[1] + backward[0] - forward[1]) / 2)
    kept = [(one, str(row.get("prompt") or row["question"])) for one, row in zip(grades, rows, strict=True) if one]
    relative, interval = relative_score([one for one, _ in kept], [prompt for _, prompt in kept])
    return PairScores(
        tuple(grades),
        relative,
        interval,
        sum(gains) / len(gains) if gains else None,
        reasons(read),
        tuple(one.text for one in replies),
        judge.record(),
    )


def relative_score(
    grades: Sequence[tuple[float, float]], prompts: Sequence[str]
) -> tuple[float | None, tuple[float, float] | None]:
    """The sum of the first grades over that of the second, and its 95 % interval (None for fewer than two prompts)."""
    import numpy as np

    if not grades:
        return None, None
    sums: dict[str, list[float]] = {}
    for (one, other), prompt in zip(grades, prompts, strict=True):
        total = sums.setdefault(prompt, [0.0, 0.0])
        total[0] += one
        total[1] += other
    value = sum(one for one, _ in grades) / sum(other for _, other in grades)
    found = corpus_estimate(np.array(list(sums.values())), lambda total: float(total[0] / total[1]))
    return value, found.interval()
