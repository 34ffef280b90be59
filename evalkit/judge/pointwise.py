"""Single answers: a grade from 1 to 10 by a rubric, with a reference where there is one; and summaries by their
source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.judge.agreement import Agreement, agreement, rank_correlation
from evalkit.judge.asking import Judge, Row, require, verdict
from evalkit.judge.prompts import FAITHFULNESS, POINTWISE, RUBRIC
from evalkit.probes.summaries import is_answer
from evalkit.statistics.choice import interval_for
from evalkit.statistics.shares import share_interval

_GRADES = tuple(str(grade) for grade in range(1, 11))


@dataclass(frozen=True, slots=True)
class Grades:
    """``grades`` 1 to 10, None where the reply held none. ``correlation``: Spearman's with the rows' "human" grades.
    ``with_length``: Spearman's of grade and length, to show a taste for long answers.
    """

    grades: tuple[int | None, ...]
    mean: float | None
    interval: tuple[float, float] | None
    n_unparsed: int
    correlation: float | None
    with_length: float | None
    record: dict[str, Any]


def grade(
    judge: Judge, rows: Sequence[Row], rubric: str = RUBRIC, template: str = POINTWISE, where: str = "answers"
) -> Grades:
    """Grade rows {"question", "answer"}, with an optional "reference", "rubric" and a person's grade "human"."""
    require(rows, ("question", "answer"), where)
    asked = [
        {
            "question": row["question"],
            "answer": row["answer"],
            "reference": row.get("reference") or "",
            "rubric": row.get("rubric") or rubric,
        }
        for row in rows
    ]
    found = [verdict(reply, _GRADES) for reply in judge.ask("pointwise", template, asked)]
    grades = tuple(None if one is None else int(one) for one in found)
    known = [float(one) for one in grades if one is not None]
    mean = sum(known) / len(known) if known else None
    labelled = [
        (float(row["human"]), float(one))
        for row, one in zip(rows, grades, strict=True)
        if one is not None and isinstance(row.get("human"), int | float)
    ]
    lengths = [float(len(row["answer"])) for row, one in zip(rows, grades, strict=True) if one is not None]
    return Grades(
        grades=grades,
        mean=mean,
        interval=interval_for(known, bounds=(1.0, 10.0)).interval() if known else None,
        n_unparsed=grades.count(None),
        correlation=rank_correlation([one for one, _ in labelled], [one for _, one in labelled]),
        with_length=rank_correlation(lengths, known),
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
    human: Agreement | None
    record: dict[str, Any]


def faithfulness(
    judge: Judge, rows: Sequence[Row], template: str = FAITHFULNESS, where: str = "summaries"
) -> Faithfulness:
    """Judge rows {"source", "summary"}, with an optional verdict of a person ("human": yes or no)."""
    require(rows, ("source", "summary"), where)
    asked = [row for row in rows if is_answer(row["summary"])]
    replies = judge.ask("faithfulness", template, asked) if asked else []
    found = iter([verdict(reply, ("yes", "no")) for reply in replies])
    verdicts = tuple(next(found) if is_answer(row["summary"]) else "not answered" for row in rows)
    known = [one for one in verdicts if one in ("yes", "no")]
    rate = known.count("yes") / len(known) if known else None
    words = [len(row["summary"].split()) for row in asked]
    labelled = [
        (str(row["human"]), str(one))
        for row, one in zip(rows, verdicts, strict=True)
        if row.get("human") and one in known
    ]
    return Faithfulness(
        verdicts=verdicts,
        consistency_rate=rate,
        hallucination_rate=None if rate is None else 1 - rate,
        interval=share_interval(known.count("yes"), len(known)) if known else None,
        answer_rate=len(asked) / len(rows),
        mean_words=sum(words) / len(words) if words else None,
        n_unparsed=verdicts.count(None),
        human=agreement([one for one, _ in labelled], [one for _, one in labelled]) if labelled else None,
        record=judge.record(),
    )
