"""From a question and its few-shot examples to the text a model sees, with or without a chat template.

The order of parts and the delimiters between them are those of lm-evaluation-harness 0.4.13.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.contract.types import Image, Message, PromptStyle


@dataclass(frozen=True, slots=True)
class Turn:
    """A message, and what follows it where the conversation is written as plain text."""

    role: str
    content: str
    delimiter: str = ""
    images: tuple[Image, ...] = ()

    @property
    def text(self) -> str:
        return self.content + self.delimiter


@dataclass(frozen=True, slots=True)
class Example:
    """One solved question. ``answer`` None: the data set has none, and the question stands alone."""

    question: str
    answer: str | None
    images: tuple[Image, ...] = ()


def turns(
    system: str,
    examples: Sequence[Example],
    question: str,
    target_delimiter: str,
    fewshot_delimiter: str,
    images: tuple[Image, ...] = (),
) -> tuple[Turn, ...]:
    """The whole conversation: system text, solved examples, and the question (with its ``images``) that is to be
    answered.
    """
    parts = [Turn("system", system)] if system else []
    for example in examples:
        if example.answer is None:
            parts.append(Turn("user", example.question, images=example.images))
        else:
            parts.append(Turn("user", example.question, target_delimiter, example.images))
            parts.append(Turn("assistant", example.answer, fewshot_delimiter))
    return (*parts, Turn("user", question, images=images))


def render(conversation: Sequence[Turn], style: PromptStyle) -> tuple[str, tuple[Message, ...] | None]:
    """The prompt as text, and as messages where a chat template made it, or where it shows images: then it is one turn
    of the user.
    """
    if style.chat is None:
        text = "".join(turn.text for turn in conversation)
        images = _images(conversation)
        return text, (Message("user", text, images),) if images else None
    shown = conversation if style.multiturn else _one_user_turn(conversation)
    messages = tuple(Message(turn.role, turn.content, turn.images) for turn in shown)
    return style.chat(messages, True), messages


def _one_user_turn(conversation: Sequence[Turn]) -> tuple[Turn, ...]:
    system = tuple(turn for turn in conversation[:1] if turn.role == "system")
    rest = conversation[len(system) :]
    text = "".join(turn.text for turn in rest[:-1]) + rest[-1].content
    return (*system, Turn("user", text, images=_images(rest)))


def _images(conversation: Sequence[Turn]) -> tuple[Image, ...]:
    return tuple(image for turn in conversation for image in turn.images)


def delimited(before: str, after: str, delimiter: str) -> str:
    """Both texts, with the delimiter between them unless one is empty or white space already parts them."""
    if not before or not after:
        return before or after
    parted = before[-1].isspace() or after[0].isspace()
    return before + after if parted else before + delimiter + after
