"""Prompts as conversations: written once, before the model loads, and put into its template's words afterwards.

A chat template is known only with the tokenizer. Until then each conversation stands in the prompts as a mark; when the
template is there, the marks become text. Items, few-shot draws and requests are made once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from uuid import uuid4

from evalkit.contract.backend import Backend, TokenBackend
from evalkit.contract.capabilities import traits
from evalkit.contract.optional import HasChatTemplate
from evalkit.contract.types import Asked, Classify, Embed, Message, PromptStyle, Request, Rolling
from evalkit.runner.workload import Workload, build_requests
from evalkit.spec.models import ModelSpec

Chat = Callable[[Sequence[Message], bool], str]


class LaterChat:
    """Stands for a chat template that is not known yet; called as one."""

    def __init__(self) -> None:
        self._turns: list[tuple[tuple[Message, ...], bool]] = []
        name = uuid4().hex  # no data set holds it
        self._mark = f"\x00{name}:{{}}\x00"
        self._find = re.compile(f"\x00{name}:(\\d+)\x00")

    def __call__(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        """The mark of one conversation."""
        self._turns.append((tuple(messages), add_generation_prompt))
        return self._mark.format(len(self._turns) - 1)

    def settled(self, workloads: Iterable[Workload], chat: Chat) -> list[Workload]:
        """The same workloads with every mark written by ``chat``. UserError as ``chat`` raises it."""
        texts: list[str] = []

        def written(text: str) -> str:
            return self._find.sub(lambda found: texts[int(found[1])], text)

        def plain(messages: tuple[Message, ...]) -> tuple[Message, ...]:
            if not any("\x00" in one.content for one in messages):
                return messages
            return tuple(replace(one, content=written(one.content)) for one in messages)

        def settle(request: Request) -> Request:
            if isinstance(request, Rolling | Classify | Embed):
                return request
            messages = request.messages
            return replace(
                request, context=written(request.context), messages=None if messages is None else plain(messages)
            )

        def settle_all(asked: tuple[Request, ...]) -> tuple[Request, ...]:
            made = tuple(settle(request) for request in asked)
            return Asked(made, asked.note) if isinstance(asked, Asked) else made

        # In the order in which they were made: a conversation can hold only marks of those before it.
        for messages, add_generation_prompt in self._turns:
            texts.append(chat(plain(messages), add_generation_prompt))
        return [one.asking(map(settle_all, one.requests)) for one in workloads]


def transcript(messages: Sequence[Message], add_generation_prompt: bool) -> str:
    """A conversation as plain text: the record of what a server, which has a template of its own, was sent."""
    turns = [f"tool: {tool}" for message in messages for tool in message.tools]
    turns += [f"{message.role}: {message.content}" for message in messages]
    return "\n".join([*turns, "assistant:"] if add_generation_prompt else turns)


def chat_of(backend: Backend) -> Chat:
    """How conversations are written for a loaded model."""
    return backend.chat if isinstance(backend, HasChatTemplate) else transcript


def style_of(model: ModelSpec, backend: Backend) -> PromptStyle:
    """How prompts are put together for a loaded model."""
    return PromptStyle(
        chat=chat_of(backend) if model.chat_template else None,
        system=model.system,
        multiturn=model.fewshot_as_multiturn,
        encode=backend.encode if isinstance(backend, TokenBackend) else None,
        max_length=backend.info.max_length or None,
    )


def measured(workloads: Iterable[Workload], style: PromptStyle) -> list[Workload]:
    """The same workloads; tasks that measure their prompts write them now, with the model's tokenizer."""
    return [build_requests(one, style) if traits(one.task).measures_prompts else one for one in workloads]
