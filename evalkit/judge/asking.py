"""Asking a judge: prompts in, replies out, with a record of who judged and by what words."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from evalkit.backends import opening
from evalkit.contract.backend import Backend
from evalkit.contract.errors import UserError
from evalkit.contract.optional import HasChatTemplate, capabilities
from evalkit.contract.store import Progress, ResponseStore
from evalkit.contract.types import Generate, Message, Response, Score
from evalkit.judge.prompts import render
from evalkit.spec.models import EngineSpec, ModelSpec

Row = Mapping[str, Any]


class Judge:
    """A backend that is asked for verdicts, greedily."""

    def __init__(
        self,
        backend: Backend,
        engine: EngineSpec = EngineSpec(),
        *,
        chat: bool = False,
        max_tokens: int = 64,
        book: ResponseStore | None = None,
        progress: Progress | None = None,
    ) -> None:
        """``chat``: prompts go through the model's template. ``book`` keeps replies between runs."""
        self.backend = backend
        self._engine = engine
        self._chat = chat
        self._max_tokens = max_tokens
        self._book = book
        self._progress = progress
        self._templates: dict[str, str] = {}

    @property
    def chat(self) -> bool:
        """Whether prompts go through the model's chat template."""
        return self._chat

    @property
    def scores(self) -> bool:
        """Whether the backend gives log-likelihoods of a verdict."""
        return "loglikelihood" in capabilities(self.backend).answers

    def ask(self, name: str, template: str, rows: Sequence[Row], max_tokens: int | None = None) -> list[Response]:
        """One reply for every row that fills the template; ``name`` is what the record calls it."""
        from evalkit.engine import answer

        self._templates[name] = template
        limit = max_tokens or self._max_tokens
        requests = [self._request(render(template, row), limit) for row in rows]
        return list(answer(self.backend, requests, self._book, self._engine, self._progress))

    def choose(
        self, name: str, template: str, rows: Sequence[Row], verdicts: Sequence[str]
    ) -> list[tuple[float, ...] | None]:
        """For every row the probability of each of ``verdicts`` (which follow the prompt as they are) among them; None
        where one of them has no log-likelihood, or the prompt did not fit.
        """
        from evalkit.engine import answer

        self._templates[name] = template
        prompts = [self._prompt(render(template, row)) for row in rows]
        requests = [Score(text, one, messages) for text, messages in prompts for one in verdicts]
        found = answer(self.backend, requests, self._book, self._engine, self._progress)
        width = len(verdicts)
        return [_shares(found[place : place + width]) for place in range(0, len(found), width)]

    def _request(self, prompt: str, max_tokens: int) -> Generate:
        text, messages = self._prompt(prompt)
        return Generate(text, (), max_tokens, messages=messages)

    def _prompt(self, prompt: str) -> tuple[str, tuple[Message, ...] | None]:
        """The prompt as the model reads it, by its chat template if so asked."""
        if not self._chat:
            return prompt, None
        messages = (Message("user", prompt),)
        return self.backend.chat(messages, True) if isinstance(self.backend, HasChatTemplate) else prompt, messages

    def record(self) -> dict[str, Any]:
        """The judge's model, settings and prompts so far, each prompt with its SHA-256."""
        return {
            "model": asdict(self.backend.info),
            "chat": self._chat,
            "max_tokens": self._max_tokens,
            "temperature": 0.0,
            "prompts": {
                name: {"sha256": hashlib.sha256(text.encode()).hexdigest(), "text": text}
                for name, text in self._templates.items()
            },
        }


@contextmanager
def opened(model: ModelSpec, engine: EngineSpec = EngineSpec(), **settings: Any) -> Iterator[Judge]:
    """A judge whose model is loaded, and freed at the end."""

    backend = opening.open_backend(model, engine)
    try:
        yield Judge(backend, engine, chat=bool(model.chat_template), **settings)
    finally:
        backend.close()


def _shares(responses: Sequence[Response]) -> tuple[float, ...] | None:
    scores = [one.loglikelihood for one in responses if one.status == "ok" and not one.truncated]
    known = [score for score in scores if score is not None and not math.isnan(score)]
    if len(known) < len(responses) or max(known) == -math.inf:
        return None
    weights = [math.exp(score - max(known)) for score in known]
    return tuple(weight / sum(weights) for weight in weights)


def require(rows: Sequence[Row], fields: Sequence[str], where: str) -> None:
    """UserError for the first row without one of the text fields."""
    if not rows:
        raise UserError(f"{where}: holds no rows")
    for number, row in enumerate(rows, 1):
        for field in fields:
            if not isinstance(row.get(field), str):
                raise UserError(f"{where}: row {number} has no text {field!r}; a row needs {', '.join(fields)}")
