"""Questions in two turns, the second of which builds on the first answer (in the manner of MT-Bench, arXiv 2306.05685;
the questions are our own): a model's answers, as rows for a judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evalkit.contract.backend import Backend
from evalkit.contract.optional import HasChatTemplate
from evalkit.contract.types import Generate, Message
from evalkit.data import rows as row_files
from evalkit.engine import answer
from evalkit.judge.asking import Row
from evalkit.spec.models import EngineSpec
from evalkit.store import paths


def questions() -> list[dict[str, Any]]:
    """The bundled ones: {"id", "category", "turns": [first, second], "reference": [...] where there is one}."""
    return [dict(row) for row in row_files.read(paths.share("tasks") / "two_turn" / "questions.jsonl")]


def answer_turns(
    backend: Backend, asked: Sequence[Row], engine: EngineSpec = EngineSpec(), chat: bool = True, max_tokens: int = 256
) -> list[dict[str, Any]]:
    """Rows {"id", "category", "turn", "question", "answer", "reference", "status"}, two for each question.

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
        for turn, response in ((1, first[index]), (2, second.get(index))):
            before = f"{row['turns'][0]}\n\n(first answer: {first[index].text})\n\n" if turn == 2 else ""
            ok = response is not None and response.status == "ok"
            rows.append(
                {
                    "id": row["id"],
                    "category": row["category"],
                    "turn": turn,
                    "question": before + row["turns"][turn - 1],
                    "answer": (response.text or "") if response is not None and ok else "",
                    "reference": references[turn - 1],
                    "status": "ok" if ok else "error",
                    "error": None if ok else (response.error if response is not None else "the first turn failed"),
                }
            )
    return rows


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
