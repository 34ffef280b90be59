"""RACE keeps the questions of an article as one text, a Python list; all but the last are shown with their answers."""

from __future__ import annotations

import ast
from typing import Any

_BLANK = "  _  ."
LETTERS = "ABCD"


def unpack(row: dict[str, Any]) -> dict[str, Any]:
    """Adds ``shown`` (article, solved questions and the last question), ``options`` and ``gold``.

    ValueError for a list of questions that is none.
    """
    try:
        problems = ast.literal_eval(row["problems"])  # literals only: nothing is evaluated
    except SyntaxError as error:
        raise ValueError("problems is no list of questions") from error
    parts = [f"Article: {row['article']}\n\n"]
    for problem in problems[:-1]:
        question, answer = problem["question"], problem["options"][LETTERS.index(problem["answer"])]
        if question.endswith(_BLANK):
            parts.append(f"{question[:-5]}{answer}\n")
        else:
            parts.append(f"Question: {question}\nAnswer: {answer}\n")
    last = problems[-1]
    gold = LETTERS.index(last["answer"])
    return {**row, "shown": "".join(parts) + last["question"], "options": list(last["options"][:4]), "gold": gold}
