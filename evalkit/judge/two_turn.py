"""Questions in two turns, the second of which builds on the first answer (in the manner of MT-Bench, arXiv 2306.05685;
the questions are our own): a model's answers, as rows for a judge; and two models' answers as pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.contract.backend import Backend
from evalkit.contract.errors import UserError
from evalkit.contract.optional import HasChatTemplate
from evalkit.contract.types import Generate, Message
from evalkit.data import rows as row_files
from evalkit.engine import answer
from evalkit.judge.asking import Row
from evalkit.judge.items import ids_of
from evalkit.spec.models import EngineSpec
from evalkit.store import paths


def questions() -> list[dict[str, Any]]:
    """The bundled ones: {"id", "category", "turns": [first, second], "reference": [...] where there is one}."""
    return [dict(row) for row in row_files.read(paths.share("tasks") / "two_turn" / "questions.jsonl")]


def checked_questions(rows: Sequence[Row], where: str) -> list[dict[str, Any]]:
    """Rows with an "id" (or "question_id", as MT-Bench has it). UserError for rows that are no questions in two turns,
    and for two of the same id.
    """
    if not rows:
        raise UserError(f"{where}: holds no rows")
    asked = [{**row, "id": row.get("question_id") if row.get("id") is None else row["id"]} for row in rows]
    for number, row in enumerate(asked, 1):
        turns, reference = row.get("turns"), row.get("reference")
        if row.get("id") is None or not _two_texts(turns):
            raise UserError(f'{where}: row {number}: write "id" and "turns", a list of two texts')
        if reference and not _two_texts(reference):
            raise UserError(f'{where}: row {number}: "reference" is a list of two texts, or is left out')
    ids_of(asked, where)
    return asked


def _two_texts(value: Any) -> bool:
    return (
        not isinstance(value, str)
        and isinstance(value, Sequence)
        and len(value) == 2
        and all(isinstance(one, str) for one in value)
    )


def answer_turns(
    backend: Backend, asked: Sequence[Row], engine: EngineSpec = EngineSpec(), chat: bool = True, max_tokens: int = 256
) -> list[dict[str, Any]]:
    """Rows {"id", "category", "turn", "question", "answer", "reference", "status", "model", "turns", "answers"}, two
    for each question; "turns" and "answers" are the conversation so far.

    The second turn sees the first answer. An answer that failed is "" with its reason in "error", and its second turn
    is not asked.
    """

    first = answer(backend, [_request(backend, [row["turns"][0]], [], chat, max_tokens) for row in asked], None, engine)
    going = [index for index, response in enumerate(first) if response.status == "ok"]
    requests = [
        _request(backend, asked[index]["turns"], [first[index].text or ""], chat, max_tokens) for index in going
    ]
    second = dict(zip(going, answer(backend, requests, None, engine), strict=True))
    rows = []
    for index, row in enumerate(asked):
        references = row.get("reference") or ["", ""]
        replies: list[str] = []
        for turn, response in ((1, first[index]), (2, second.get(index))):
            before = f"{row['turns'][0]}\n\n(first answer: {first[index].text})\n\n" if turn == 2 else ""
            ok = response is not None and response.status == "ok"
            replies.append((response.text or "") if response is not None and ok else "")
            rows.append(
                {
                    "id": row["id"],
                    "category": row.get("category"),
                    "turn": turn,
                    "question": before + row["turns"][turn - 1],
                    "answer": replies[-1],
                    "reference": references[turn - 1],
                    "status": "ok" if ok else "error",
                    "error": None if ok else (response.error if response is not None else "the first turn failed"),
                    "model": backend.info.name,
                    "turns": list(row["turns"][:turn]),
                    "answers": list(replies),
                }
            )
    return rows


@dataclass(frozen=True, slots=True)
class Paired:
    """Rows {"id", "prompt", "question", "a", "b", "reference"} of what both models answered; how many rows were left
    out: without a partner, and with an answer that failed.
    """

    rows: list[dict[str, Any]]
    unmatched: int
    failed: int


def pair_answers(one: Sequence[Row], other: Sequence[Row], names: tuple[str, str]) -> Paired:
    """Two models' rows {"question", "answer"} with an "id" (and "turn"), or with the same questions, as pairs. Of a
    second turn a pair shows both conversations. UserError where they share nothing, or an id stands for two questions.
    """
    first, second = _by_key(one, names[0]), _by_key(other, names[1])
    rows: list[dict[str, Any]] = []
    failed = 0
    for key, row in first.items():
        partner = second.get(key)
        if partner is None:
            continue
        question = _asked(row)
        if question != _asked(partner):
            raise UserError(f"{names[0]} and {names[1]}: {key!r} is another question in each; answer the same ones")
        if "error" in (row.get("status"), partner.get("status")):
            failed += 1
            continue
        rows.append(
            {
                "id": key,
                "prompt": row.get("id", question),
                "question": question,
                "a": _said(row),
                "b": _said(partner),
                "reference": row.get("reference") or "",
            }
        )
    shared = len(rows) + failed
    if not shared:
        raise UserError(f"{names[0]} and {names[1]} share no question (neither by id nor by text)")
    if not rows:
        raise UserError(f"{names[0]} and {names[1]}: every question has an answer that failed")
    return Paired(rows, len(first) + len(second) - 2 * shared, failed)


def _by_key(rows: Sequence[Row], name: str) -> Mapping[str, Row]:
    for number, row in enumerate(rows, 1):
        if not isinstance(row.get("question"), str) or not isinstance(row.get("answer"), str):
            raise UserError(f"{name}: row {number}: an answer has the texts question and answer")
    if not all(row.get("id") is not None for row in rows):
        return {row["question"]: row for row in rows}
    return dict(zip(ids_of(rows, name), rows, strict=True))


def _asked(row: Row) -> str:
    """What the user said: both turns of a second one. A row's own question holds its model's first answer."""
    turns = row.get("turns")
    return _numbered(turns) if turns else str(row["question"])


def _said(row: Row) -> str:
    answers = row.get("answers")
    return _numbered(answers) if answers else str(row["answer"])


def _numbered(parts: Sequence[str]) -> str:
    if len(parts) == 1:
        return str(parts[0])
    return "\n\n".join(f"(turn {number}) {part}" for number, part in enumerate(parts, 1))


def _request(backend: Backend, turns: Sequence[str], answers: Sequence[str], chat: bool, max_tokens: int) -> Generate:
    messages: list[Message] = []
    for place, turn in enumerate(turns):
        messages.append(Message("user", turn))
        if place < len(answers):
            messages.append(Message("assistant", answers[place]))
    render = backend.chat if chat and isinstance(backend, HasChatTemplate) else None
    if render is not None:
        return Generate(render(messages, True), (), max_tokens, messages=tuple(messages))
    text = "\n\n".join(f"{'User' if one.role == 'user' else 'Assistant'}: {one.content}" for one in messages)
    return Generate(f"{text}\n\nAssistant:", ("\nUser:",), max_tokens, messages=tuple(messages) if chat else None)
