"""Asking the engine, and what is left when the user interrupts it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from evalkit.contract.backend import Backend, GenerateRow, LoglikelihoodRow, OnResult, TextBackend, TokenBackend
from evalkit.contract.capabilities import Capabilities
from evalkit.contract.errors import LimitReached
from evalkit.contract.optional import KnowsEncoding, capabilities
from evalkit.contract.store import Progress, ResponseStore
from evalkit.contract.types import Message, Request, Response
from evalkit.engine import answer
from evalkit.engine.plausible import Places, possible
from evalkit.runner.interruption import Interrupted
from evalkit.runner.progress import Silent
from evalkit.spec.models import EngineSpec

NOT_ANSWERED = "not answered: the run was interrupted"


def answer_all(
    backend: Backend,
    requests: Sequence[Request],
    book: ResponseStore,
    engine: EngineSpec,
    progress: Progress,
    note: Callable[[str], None] = lambda text: None,
) -> tuple[Sequence[Response], bool]:
    """A response for every request, and whether the user interrupted, or a limit that the user set, which ``note`` is
    told.

    After an interruption the answers already in the book are taken from there; the rest are errors with the
    reason NOT_ANSWERED.
    """
    if capabilities(backend).by_document and isinstance(backend, TextBackend):
        return _by_position(backend, requests, progress), False
    try:
        return answer(backend, requests, book, engine, progress), False
    except (Interrupted, LimitReached) as ended:
        progress.end()
        if isinstance(ended, LimitReached):
            note(str(ended))
        halted = _HaltedText(backend) if isinstance(backend, TextBackend) else _HaltedTokens(backend)
        return answer(halted, requests, _ReadOnly(book), engine, Silent()), True


def _by_position(backend: TextBackend, requests: Sequence[Request], progress: Progress) -> list[Response]:
    """From a backend whose answers belong to places in the run (a file of outputs): every request, in order, and no
    journal, because the same prompt may have another answer elsewhere.
    """
    progress.begin(len(requests), 0, None)
    responses: list[Response | None] = [None] * len(requests)
    places = Places(len(requests))
    for index, response in backend.respond(requests):
        responses[places.take(index)] = possible(response)
        progress.advance(1)
    progress.end()
    return [response or Response(status="error", error="the backend gave no answer") for response in responses]


def unanswered(responses: Iterable[Response]) -> bool:
    """Whether an interruption left one of the responses out."""
    return any(response.status == "error" and NOT_ANSWERED in (response.error or "") for response in responses)


class _ReadOnly:
    """A book that gives its answers and takes none: what was not answered must not be written down."""

    def __init__(self, book: ResponseStore) -> None:
        self._book = book

    def get(self, keys: Iterable[str]) -> Mapping[str, Response]:
        return self._book.get(keys)

    def put(self, key: str, response: Response) -> None: ...


class _HaltedTokens:
    """A backend whose model answers no more; its tokenizer still makes the keys of what was answered."""

    def __init__(self, backend: TokenBackend) -> None:
        self._backend = backend
        self.info = backend.info
        self.eot_id = backend.eot_id
        self.prefix_id = backend.prefix_id
        self.capabilities = Capabilities()
        self.encoding_identity = backend.encoding_identity if isinstance(backend, KnowsEncoding) else None

    def encode(self, texts: Sequence[str], special: bool | None = None) -> list[list[int]]:
        return self._backend.encode(texts, special)

    def decode(self, tokens: Sequence[int]) -> str:
        return self._backend.decode(tokens)

    def chat(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        return self._backend.chat(messages, add_generation_prompt)

    def score(self, rows: Sequence[LoglikelihoodRow], done: OnResult) -> None:
        self._refuse(len(rows), done)

    def generate(self, rows: Sequence[GenerateRow], done: OnResult) -> None:
        self._refuse(len(rows), done)

    def close(self) -> None: ...

    @staticmethod
    def _refuse(count: int, done: OnResult) -> None:
        for index in range(count):
            done(index, RuntimeError(NOT_ANSWERED))


class _HaltedText:
    """The same for a backend that takes whole requests."""

    def __init__(self, backend: TextBackend) -> None:
        self.info = backend.info
        self.capabilities = Capabilities()

    def respond(self, requests: Sequence[Request]) -> Iterator[tuple[int, Response]]:
        for index in range(len(requests)):
            yield index, Response(status="error", error=NOT_ANSWERED)

    def close(self) -> None: ...
