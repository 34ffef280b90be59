"""Questions of one or more turns, each of which builds on the model's own answers before it (in the manner of MT-Bench,
arXiv 2306.05685): a model's answers, as rows for a judge; and two models' answers as pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from evalkit.contract.backend import Backend
from evalkit.contract.errors import UserError
from evalkit.contract.optional import HasChatTemplate
from evalkit.contract.types import Generate, Message, Response
from evalkit.data import rows as row_files
from evalkit.engine import answer
from evalkit.judge.asking import Row
from evalkit.judge.items import ids_of
from evalkit.spec.models import EngineSpec
from evalkit.store import paths

Ask = Callable[[Sequence[Generate]], Sequence[Response]]
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")


def questions() -> list[dict[str, Any]]:
    """The bundled ones, of our own writing: rows {"id", "category", "turns", "reference"}, two turns each."""
    return [dict(row) for row in row_files.read(paths.share("tasks") / "two_turn" / "questions.jsonl")]


def checked_questions(rows: Sequence[Row], where: str) -> list[dict[str, Any]]:
    """Rows with an "id" (or "question_id", as MT-Bench has it). UserError for rows that are no questions in turns, and
    for two of the same id.
    """
    if not rows:
        raise UserError(f"{where}: holds no rows")
    asked = [{**row, "id": row.get("question_id") if row.get("id") is None else row["id"]} for row in rows]
    for number, row in enumerate(asked, 1):
        turns, reference = row.get("turns"), row.get("reference")
        if row.get("id") is None or not _texts(turns):
            raise UserError(f'{where}: row {number}: write "id" and "turns", a list of texts')
        if reference and not (_texts(reference) and len(reference) == len(turns)):
            raise UserError(f'{where}: row {number}: "reference" is a list with a text for each turn, or is left out')
    ids_of(asked, where)
    return asked


def _texts(value: Any) -> TypeGuard[Sequence[str]]:
    return (
        not isinstance(value, str)
        and isinstance(value, Sequence)
        and len(value) > 0
        and all(isinstance(one, str) for one in value)
    )


def answer_turns(
    backend: Backend,
    asked: Sequence[Row],
    engine: EngineSpec = EngineSpec(),
    chat: bool = True,
    max_tokens: int = 256,
    ask: Ask | None = None,
) -> list[dict[str, Any]]:
    """Rows {"id", "category", "turn", "question", "answer", "reference", "status", "model", "turns", "answers"}, one
    for each turn of each question, in the questions' order; "turns" and "answers" are the conversation so far.

    A turn sees the answers before it. An answer that failed is "" with its reason in "error", and the turns behind it
    are not asked. Answers are greedy. ``ask`` asks in place of the engine, as `Judge.respond` does.
    """
    ask = ask or (lambda requests: answer(backend, requests, None, engine))
    said: list[list[Response]] = [[] for _ in asked]
    for turn in range(max(len(row["turns"]) for row in asked)):
        going = [
            place
            for place, row in enumerate(asked)
            if turn < len(row["turns"]) and all(one.status == "ok" for one in said[place])
        ]
        requests = [
            _request(
                backend, asked[place]["turns"][: turn + 1], [one.text or "" for one in said[place]], chat, max_tokens
            )
            for place in going
        ]
        for place, response in zip(going, ask(requests), strict=True):
            said[place].append(response)
    return [
        _row(row, turn, found, backend.info.name)
        for row, found in zip(asked, said, strict=True)
        for turn in range(len(row["turns"]))
    ]


def _row(row: Row, turn: int, said: Sequence[Response], model: str) -> dict[str, Any]:
    """A row of the turn numbered ``turn`` from 0."""
    response = said[turn] if turn < len(said) else None
    ok = response is not None and response.status == "ok"
    answers = [(one.text or "") if one.status == "ok" else "" for one in said[: turn + 1]]
    answers += [""] * (turn + 1 - len(answers))
    before = "".join(
        f"{question}\n\n({_ordinal(place)} answer: {answers[place]})\n\n"
        for place, question in enumerate(row["turns"][:turn])
    )
    gone = f"the {_ordinal(len(said) - 1)} turn failed"
    return {
        "id": row["id"],
        "category": row.get("category"),
        "turn": turn + 1,
        "question": before + row["turns"][turn],
        "answer": answers[-1],
        "reference": row["reference"][turn] if row.get("reference") else "",
        "status": "ok" if ok else "error",
        "error": None if ok else (response.error if response is not None else gone),
        "model": model,
        "turns": list(row["turns"][: turn + 1]),
        "answers": answers,
    }


def _ordinal(place: int) -> str:
    return _ORDINALS[place] if place < len(_ORDINALS) else f"{place + 1}th"


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
