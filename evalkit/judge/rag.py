"""RAGAS's three ratios (Es et al. 2023, arXiv 2309.15217) of answers that were given with retrieved contexts.

faithfulness       statements of the answer that the contexts support / statements of the answer
answer_relevance   mean similarity of the question and questions that the judge makes of the answer: the cosine of an
                   embedder's vectors, as in the paper; without an embedder that of word counts
context_relevance  sentences of the contexts that are needed for the answer / sentences of the contexts
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from evalkit.backends import opening
from evalkit.contract.errors import UserError
from evalkit.contract.types import Response
from evalkit.judge import prompts
from evalkit.judge.asking import Judge, Row, require
from evalkit.judge.items import reasons
from evalkit.judge.reading import Unread, yes_or_no
from evalkit.metrics.filters import strip_thinking
from evalkit.probes.embedding.base import unit
from evalkit.probes.grading.sentences import sentences
from evalkit.probes.selfcheck import words
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.statistics.choice import interval_for

_MARKER = re.compile(
    r"^\s*(?:>\s*)?(?:[-*•–—+]\s+)?(?:\*{0,2}\(?(?:\d{1,2}[.)]|(?:[a-z]|[ivx]{1,4})\))\*{0,2}\s+)?"
    r"(?:\*{0,2}(?:statement|question)\s*\d{0,2}\s*:\*{0,2}\s+)?",
    re.IGNORECASE,
)
"""Of a list's items, at a line's beginning; a number without white space behind its point is none (3.5)."""
Similarity = Callable[[str, str], float]


@dataclass(frozen=True, slots=True)
class Similar:
    """How alike two questions are, and what a record says of that."""

    similarity: Similarity
    record: dict[str, Any]


@contextmanager
def embedded(model: ModelSpec) -> Iterator[Similar]:
    """The cosine of an embedder's vectors. UserError for a model that gives none, or that cannot be loaded."""
    if opening.capabilities_of(opening.resolve(model)).architecture != "embedder":
        raise UserError(
            f"--embedder {model.name}: is no embedder: wordllama, embed:MODEL, st:MODEL (docs/embeddings.md)"
        )
    backend: Any = opening.open_backend(model, EngineSpec())
    try:

        def similarity(one: str, other: str) -> float:
            first, second = unit(backend.embed([one, other]).astype("float64"))
            return float(first @ second)

        yield Similar(similarity, {"embedder": backend.info.name, "fingerprint": backend.info.fingerprint})
    finally:
        backend.close()


@dataclass(frozen=True, slots=True)
class Ratios:
    """Of one row; None where it cannot be said (no statement, no sentence, a verdict that could not be read)."""

    faithfulness: float | None
    answer_relevance: float | None
    context_relevance: float | None


@dataclass(frozen=True, slots=True)
class Rag:
    """Ratios of each row, their means over the rows that have one with their intervals, and how many rows these are.

    ``unread``: verdicts that could not be read, by the reason; a row with one has no ratio.
    """

    rows: tuple[Ratios, ...]
    means: dict[str, float | None]
    intervals: dict[str, tuple[float, float] | None]
    counts: dict[str, int]
    unread: dict[str, int]
    record: dict[str, Any]


def score_rag(
    judge: Judge,
    rows: Sequence[Row],
    similarity: Similarity | Similar | None = None,
    where: str = "rag",
    questions: int = 1,
) -> Rag:
    """Score rows {"question", "contexts": [text, ...], "answer"}. The judge makes ``questions`` of each answer."""
    if not isinstance(similarity, Similar):
        known: Any = "cosine of words" if similarity is None else "given"
        similarity = Similar(similarity or cosine, known)
    require(rows, ("question", "answer"), where)
    for number, row in enumerate(rows, 1):
        contexts = row.get("contexts")
        if not isinstance(contexts, list) or not all(isinstance(one, str) for one in contexts):
            raise UserError(f"{where}: row {number}: contexts is no list of texts")
    unread: list[Unread] = []
    faithful = _faithfulness(judge, rows, unread)
    relevant = _answer_relevance(judge, rows, similarity.similarity, questions)
    needed = _context_relevance(judge, rows, unread)
    found = tuple(Ratios(*three) for three in zip(faithful, relevant, needed, strict=True))
    means: dict[str, float | None] = {}
    intervals: dict[str, tuple[float, float] | None] = {}
    counts: dict[str, int] = {}
    for name in ("faithfulness", "answer_relevance", "context_relevance"):
        known = [value for one in found if (value := getattr(one, name)) is not None]
        means[name] = sum(known) / len(known) if known else None
        intervals[name] = interval_for(known, bounds=(0.0, 1.0)).interval() if known else None
        counts[name] = len(known)
    record = {**judge.record(), "similarity": similarity.record, "questions": questions}
    return Rag(found, means, intervals, counts, reasons(unread), record)


def cosine(one: str, other: str) -> float:
    """Cosine of two texts' word counts, 0 to 1."""
    first, second = Counter(words(one)), Counter(words(other))
    norm = math.sqrt(sum(n * n for n in first.values()) * sum(n * n for n in second.values()))
    return sum(first[word] * second[word] for word in first) / norm if norm else 0.0


def _faithfulness(judge: Judge, rows: Sequence[Row], unread: list[Unread]) -> list[float | None]:
    replies = judge.ask("statements", prompts.STATEMENTS, rows, max_tokens=256)
    listed = [_lines(reply) for reply in replies]
    asked = [
        {"context": "\n\n".join(row["contexts"]), "statement": statement}
        for row, statements in zip(rows, listed, strict=True)
        for statement in statements
    ]
    return _shares(judge, "support", prompts.SUPPORT, asked, [len(statements) for statements in listed], unread)


def _answer_relevance(judge: Judge, rows: Sequence[Row], similarity: Similarity, count: int) -> list[float | None]:
    if count == 1:
        replies = judge.ask("question", prompts.GENERATED_QUESTION, rows)
    else:
        asked = [{**row, "count": count} for row in rows]
        replies = judge.ask("questions", prompts.GENERATED_QUESTIONS, asked, max_tokens=64 * count)
    found: list[float | None] = []
    for row, reply in zip(rows, replies, strict=True):
        alike = [similarity(row["question"], question) for question in _lines(reply)[:count]]
        found.append(sum(alike) / len(alike) if alike else None)
    return found


def _context_relevance(judge: Judge, rows: Sequence[Row], unread: list[Unread]) -> list[float | None]:
    listed = [[part for context in row["contexts"] for part in sentences(context)] for row in rows]
    asked = [
        {"question": row["question"], "sentence": sentence}
        for row, parts in zip(rows, listed, strict=True)
        for sentence in parts
    ]
    return _shares(judge, "needed", prompts.NEEDED, asked, [len(parts) for parts in listed], unread)


def _shares(
    judge: Judge, name: str, template: str, asked: Sequence[Row], sizes: Sequence[int], unread: list[Unread]
) -> list[float | None]:
    """The share of yes in consecutive blocks of the verdicts; None for an empty block or one with an unread verdict.
    What is not read is added to ``unread``.
    """
    read = [yes_or_no(reply) for reply in judge.ask(name, template, asked)] if asked else []
    unread += [one for one in read if isinstance(one, Unread)]
    found = [None if isinstance(one, Unread) else one for one in read]
    shares: list[float | None] = []
    done = 0
    for size in sizes:
        block = found[done : done + size]
        done += size
        shares.append(None if not block or None in block else block.count("yes") / size)
    return shares


def _lines(reply: Response) -> list[str]:
    """What stands on each line, without marks of a list ("1. 1969 was the year" keeps its year) and without a line that
    only announces the list.
    """
    text = strip_thinking()(reply.text or "") if reply.status == "ok" else ""
    lines = [line for raw in text.splitlines() if (line := _MARKER.sub("", raw, count=1).strip())]
    return lines[1:] if len(lines) > 1 and lines[0].endswith(":") else lines
