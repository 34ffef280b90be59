"""Asking a judge: prompts in, replies out, with a record of who judged and by what words."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from evalkit.backends import opening
from evalkit.contract.backend import Backend
from evalkit.contract.capabilities import Quote
from evalkit.contract.errors import UserError
from evalkit.contract.optional import HasChatTemplate, capabilities
from evalkit.contract.store import Progress, ResponseStore
from evalkit.contract.types import Generate, Message, Request, Response, Score
from evalkit.judge.prompts import render
from evalkit.perf.counters import Bill
from evalkit.spec.models import EngineSpec, ModelSpec

Row = Mapping[str, Any]
if TYPE_CHECKING:
    from evalkit.runner.costs import Expected

Ahead = Callable[[str, "Expected"], None]
"""Told, before a judge that is paid by the token is asked, by what prompt and what it may cost."""


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
        quote: Quote | None = None,
        ahead: Ahead | None = None,
    ) -> None:
        """``chat``: prompts go through the model's template. ``book`` keeps replies between runs. ``quote``: the price
        of a model that is paid; ``ahead`` is told what it comes to.
        """
        self.backend = backend
        self._engine = engine
        self._chat = chat
        self._max_tokens = max_tokens
        self._book = book
        self._progress = progress
        self._quote = quote
        self._ahead = ahead
        self._templates: dict[str, str] = {}
        self._bill = Bill()
        self._tokens = [0, 0]
        self._paid: set[int] = set()

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
        self._templates[name] = template
        limit = max_tokens or self._max_tokens
        return self.respond(name, [self._request(render(template, row), limit) for row in rows])

    def ask_written(
        self, name: str, templates: Mapping[str, str], prompts: Sequence[tuple[str, str]]
    ) -> list[Response]:
        """One reply for every (system prompt, prompt), made of ``templates``, which the record keeps."""
        self._templates |= templates
        return self.respond(name, [self._request(prompt, self._max_tokens, system) for system, prompt in prompts])

    def choose(
        self, name: str, template: str, rows: Sequence[Row], verdicts: Sequence[str]
    ) -> list[tuple[float, ...] | None]:
        """For every row the probability of each of ``verdicts`` (which follow the prompt as they are) among them; None
        where one of them has no log-likelihood, or the prompt did not fit.
        """
        self._templates[name] = template
        prompts = [self._prompt(render(template, row)) for row in rows]
        requests = [Score(text, one, messages) for text, messages in prompts for one in verdicts]
        found = self.respond(name, requests)
        width = len(verdicts)
        return [_shares(found[place : place + width]) for place in range(0, len(found), width)]

    def respond(self, name: str, requests: Sequence[Request]) -> list[Response]:
        """A response for every request, in order, with its cost told and counted under ``name``."""
        from evalkit.engine import answer
        from evalkit.runner.costs import expected_of

        if self._quote is not None and self._ahead is not None:
            self._ahead(name, expected_of(self._quote, (one for one in requests if isinstance(one, Generate))))
        found = list(answer(self.backend, requests, self._book, self._engine, self._progress))
        for request, response in zip(requests, found, strict=True):
            if (asked := hash(repr(request))) not in self._paid:
                self._paid.add(asked)
                self._tokens[0] += response.prompt_tokens
                self._tokens[1] += response.output_tokens
                if response.usage is not None:
                    self._bill.add(response.usage)
        return found

    @property
    def counters(self) -> dict[str, Any]:
        """What was asked so far, equal prompts once: tokens read and written, and "cost" where it is paid."""
        cost = self._bill.plain("usd")
        return {
            "prompt_tokens": self._tokens[0],
            "output_tokens": self._tokens[1],
            **({"cost": cost} if cost else {}),
        }

    def _request(self, prompt: str, max_tokens: int, system: str = "") -> Generate:
        text, messages = self._prompt(prompt, system)
        return Generate(text, (), max_tokens, messages=messages)

    def _prompt(self, prompt: str, system: str = "") -> tuple[str, tuple[Message, ...] | None]:
        """The prompt as the model reads it, by its chat template if so asked."""
        if not self._chat:
            return f"{system}\n\n{prompt}" if system else prompt, None
        messages = (*([Message("system", system)] if system else []), Message("user", prompt))
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
            **({"cost": self.counters} if "cost" in self.counters else {}),
        }


@contextmanager
def opened(model: ModelSpec, engine: EngineSpec = EngineSpec(), **settings: Any) -> Iterator[Judge]:
    """A judge whose model is loaded, and freed at the end."""
    quote = opening.quote_of(opening.resolve(model))
    backend = opening.open_backend(model, engine)
    try:
        yield Judge(backend, engine, chat=bool(model.chat_template), quote=quote, **settings)
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
