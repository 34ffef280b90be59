"""Single answers: a grade from 1 to 10 by a rubric, with a reference where there is one; and summaries by their
source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.contract.types import Response
from evalkit.judge.agreement import Agreement, agreement, rank_correlation
from evalkit.judge.asking import Judge, Row, require
from evalkit.judge.items import LABELS, Items, Rate, ids_of, people_of, rate_of, reasons
from evalkit.judge.prompts import FAITHFULNESS, POINTWISE, RUBRIC
from evalkit.judge.reading import Unread, yes_or_no
from evalkit.judge.reading import grade as read_grade
from evalkit.probes.summaries import is_answer
from evalkit.statistics.choice import interval_for
from evalkit.statistics.shares import share_interval


@dataclass(frozen=True, slots=True)
class Grades:
    """``grades`` 1 to 10, None where the reply held none; ``unread`` counts these by the reason (a grade beyond the
    scale is one). ``correlation``: Spearman's with the rows' "human" grades. ``with_length``: Spearman's of grade and
    length, to show a taste for long answers. ``debiased``: the mean as people would see it, where they graded some.
    """

    grades: tuple[float | None, ...]
    mean: float | None
    interval: tuple[float, float] | None
    n_unparsed: int
    unread: dict[str, int]
    correlation: float | None
    with_length: float | None
    debiased: Rate | None
    kind: str
    items: Items
    replies: tuple[str | None, ...]
    """What the judge wrote; None where it failed."""
    record: dict[str, Any]


def grade(
    judge: Judge,
    rows: Sequence[Row],
    rubric: str = RUBRIC,
    template: str = POINTWISE,
    where: str = "answers",
    ask: Callable[[Judge, Sequence[Row]], list[Response]] | None = None,
) -> Grades:
    """Grade rows {"question", "answer"}, with an optional "id", "reference", "rubric" and a person's grade "human".
    ``ask`` asks in place of ``template``.
    """
    require(rows, ("question", "answer"), where)
    people, ids = people_of("pointwise", rows, where), ids_of(rows, where)
    asked = [
        {
            "question": row["question"],
            "answer": row["answer"],
            "reference": row.get("reference") or "",
            "rubric": row.get("rubric") or rubric,
        }
        for row in rows
    ]
    replies = judge.ask("pointwise", template, asked) if ask is None else ask(judge, rows)
    found = [read_grade(reply) for reply in replies]
    grades = tuple(None if isinstance(one, Unread) else one for one in found)
    items = Items(ids, grades, people, LABELS["pointwise"][2])
    known = [one for one in grades if one is not None]
    labelled = [
        (person, one) for person, one in zip(people, grades, strict=True) if person is not None and one is not None
    ]
    lengths = [float(len(row["answer"])) for row, one in zip(rows, grades, strict=True) if one is not None]
    return Grades(
        grades=grades,
        mean=sum(known) / len(known) if known else None,
        interval=interval_for(known, bounds=items.span).interval() if known else None,
        n_unparsed=grades.count(None),
        unread=reasons(found),
        correlation=rank_correlation([one for one, _ in labelled], [one for _, one in labelled]),
        with_length=rank_correlation(lengths, known),
        debiased=rate_of(items),
        kind="pointwise",
        items=items,
        replies=tuple(one.text for one in replies),
        record={**judge.record(), "rubric": rubric},
    )


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """In the terms of Vectara's board: of the answered summaries the share that is consistent with its source and its
    complement, the hallucination rate; the share that was answered at all; words a summary.
    """

    verdicts: tuple[str | None, ...]
    """yes, no, None (unparsed), or "not answered"."""
    consistency_rate: float | None
    hallucination_rate: float | None
    interval: tuple[float, float] | None
    """Of the consistency rate."""
    answer_rate: float
    mean_words: float | None
    n_unparsed: int
    unread: dict[str, int]
    human: Agreement | None
    debiased: Rate | None
    """The consistency rate of the answered summaries as people would see it, where they labelled some."""
    kind: str
    items: Items
    replies: tuple[str | None, ...]
    """What the judge wrote of the answered summaries; None where it failed."""
    record: dict[str, Any]


def faithfulness(
    judge: Judge, rows: Sequence[Row], template: str = FAITHFULNESS, where: str = "summaries"
) -> Faithfulness:
    """Judge rows {"source", "summary"}, with an optional "id" and a person's verdict ("human": yes or no)."""
    require(rows, ("source", "summary"), where)
    people, ids = people_of("faithfulness", rows, where), ids_of(rows, where)
    given = [place for place, row in enumerate(rows) if is_answer(row["summary"])]
    asked = [rows[place] for place in given]
    replies = judge.ask("faithfulness", template, asked) if asked else []
    found = [yes_or_no(reply) for reply in replies]
    read = [None if isinstance(one, Unread) else one for one in found]
    verdicts: list[str | None] = ["not answered"] * len(rows)
    for place, one in zip(given, read, strict=True):
        verdicts[place] = one
    known = [one for one in read if one is not None]
    rate = known.count("yes") / len(known) if known else None
    words = [len(row["summary"].split()) for row in asked]
    items = Items(
        tuple(ids[place] for place in given),
        tuple(None if one is None else float(one == "yes") for one in read),
        tuple(people[place] for place in given),
        LABELS["faithfulness"][2],
    )
    labelled = [
        ("yes" if person else "no", one)
        for person, one in zip(items.people, read, strict=True)
        if person is not None and one is not None
    ]
    return Faithfulness(
        verdicts=tuple(verdicts),
        consistency_rate=rate,
        hallucination_rate=None if rate is None else 1 - rate,
        interval=share_interval(known.count("yes"), len(known)) if known else None,
        answer_rate=len(asked) / len(rows),
        mean_words=sum(words) / len(words) if words else None,
        n_unparsed=read.count(None),
        unread=reasons(found),
        human=agreement([one for one, _ in labelled], [one for _, one in labelled]) if labelled else None,
        debiased=rate_of(items),
        kind="faithfulness",
        items=items,
        replies=tuple(one.text for one in replies),
        record=judge.record(),
    )
