"""Training examples of a task: the prompt as an evaluation writes it, and the right answer behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import Document, Generate, PromptStyle, Score, Task
from evalkit.task.native import NativeTask


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt, and what the model should say behind it. ``ends``: the model should stop there."""

    prompt: str
    completion: str
    ends: bool = False


def examples_of(task: Task, documents: Sequence[Document]) -> list[Example]:
    """One example a document, with the task's zero-shot prompt and the first right answer. UserError for a task without
    prompts and answers, and for a document whose answer is not known.
    """
    if not isinstance(task, NativeTask) or task.info.kind not in ("multiple_choice", "generate"):
        raise UserError(
            f"task {task.info.name}: cannot be trained on: give one of evalkit's own tasks with choices or generated "
            "answers"
        )
    found = []
    for document, requests in zip(documents, task.requests(documents, PromptStyle()), strict=True):
        target = task.target(document)
        first = target[0] if isinstance(target, list) and target else target
        if first is None or first == []:
            raise UserError(f"task {task.info.name}: document {document.id} has no right answer to learn")
        found.append(_example(requests, first, task.definition.target_delimiter))
    return found


def _example(requests: Sequence[Any], answer: Any, delimiter: str) -> Example:
    asked = requests[int(answer)] if isinstance(requests[0], Score) else requests[0]
    if isinstance(asked, Score):
        return Example(asked.context, asked.continuation)
    assert isinstance(asked, Generate)
    # Behind the answer stands what ends it, so that the model learns to stop.
    stop = next((text for text in asked.until if text and not text.strip()), "")
    return Example(asked.context, f"{delimiter}{answer}{stop}", ends=not stop)
