"""`evalkit.mock`: a function as a model, for tests and for trying out tasks, metrics and policies."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence

from evalkit.backends.thinking import PAIRS, Marks, answer_of
from evalkit.contract.capabilities import Capabilities
from evalkit.contract.errors import UserError
from evalkit.contract.types import Generate, ModelInfo, Request, Response, Rolling, Score
from evalkit.store.identity import digest

Answer = str | float | Response
"""What the function gives: a reply, a log-likelihood in nats, or a whole `Response`."""

MARKS = Marks(*PAIRS[0])
LIKELY, UNLIKELY = -0.5, -10.0
"""Nats of a continuation that the reply begins with, and of any other."""


def mock(
    answer: Callable[[Request], Answer],
    *,
    name: str = "mock",
    fingerprint: str | None = None,
    max_length: int = 16_384,
) -> FunctionBackend:
    """A model that answers each request by ``answer(request)``: `evalkit.evaluate(evalkit.mock(lambda request: "yes"),
    "boolq@sample")`.

    A text is the model's reply: a generation is cut at the request's stop strings, and a continuation that the reply
    begins with is likely and greedy, any other is not. A number is a log-likelihood in nats. An exception fails that
    request alone. ``max_tokens`` is not applied, for there is no tokenizer.

    What a function answers cannot be known from outside, so every mock is a model of its own, whose answers no later
    process reuses; give a ``fingerprint`` of your own to say that two are the same (to resume a run, to share a cache).
    """
    if not callable(answer):
        raise UserError(f"evalkit.mock takes a function of one request; here is a {type(answer).__name__}")
    identity = {"backend": "mock", "function": fingerprint or uuid.uuid4().hex}
    details = {"function": f"{getattr(answer, '__module__', '?')}.{getattr(answer, '__qualname__', '?')}"}
    info = ModelInfo(
        name=name,
        backend="mock",
        fingerprint=digest(identity),
        max_length=max_length,
        dtype="none",
        device="cpu",
        details=details,
    )
    return FunctionBackend(answer, info)


class FunctionBackend:
    """An `evalkit.contract.backend.TextBackend` that asks a function."""

    capabilities = Capabilities(modalities=frozenset(("text", "image")))

    def __init__(self, answer: Callable[[Request], Answer], info: ModelInfo) -> None:
        self.info = info
        self._answer = answer

    def respond(self, requests: Sequence[Request]) -> Iterator[tuple[int, Response]]:
        """One response a request, in order."""
        for index, request in enumerate(requests):
            try:
                yield index, _response(request, self._answer(request))
            except Exception as error:
                yield index, Response(status="error", error=f"mock: {type(error).__name__}: {error}")

    def close(self) -> None:
        """Nothing to free."""


def _response(request: Request, answer: Answer) -> Response:
    if isinstance(answer, Response):
        return answer
    if isinstance(answer, str) and isinstance(request, Generate):
        found = answer_of(answer, request.until, MARKS, MARKS.opened_by(request.context))
        made = len(f"{found.thought or ''} {found.text}".split())
        return Response(text=found.text, finish=found.finish, output_tokens=made, thought=found.thought)
    if isinstance(answer, str) and isinstance(request, Score):
        greedy = answer.strip().startswith(request.continuation.strip())
        return Response(loglikelihood=LIKELY if greedy else UNLIKELY, is_greedy=greedy)
    if isinstance(answer, int | float) and not isinstance(answer, bool) and isinstance(request, Score | Rolling):
        return Response(loglikelihood=float(answer), is_greedy=False)
    wanted = {Generate: "a text", Score: "a text or a number", Rolling: "a number"}.get(type(request), "a Response")
    raise TypeError(f"the function gave {answer!r} for a {type(request).__name__}, which takes {wanted}")
