"""Requests become token rows, by lm-evaluation-harness's rules for the boundary between context and continuation.

The rules (lm_eval 0.4.13, api/model.py TemplateLM and models/huggingface.py HFLM): trailing spaces of the context
belong to the continuation; the continuation is what the encoding of the whole has behind the encoding of the context;
an empty context is the prefix token; what is too long loses tokens on the left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evalkit.backends.base import GenerateRow, ScoreRow, TokenBackend
from evalkit.identity import generate_key, rolling_key, score_key
from evalkit.types import Generate, Request, Response, Rolling, Score

Overlength = Literal["truncate", "skip", "error"]

CHUNK = 4096
"""Requests encoded at a time: large enough for the tokenizer's threads, small enough to bound memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One request on its way: its identity and its rows, or the response that needs no model."""

    key: str = ""
    scores: tuple[ScoreRow, ...] = ()
    generate: GenerateRow | None = None
    prompt_tokens: int = 0
    truncated: int = 0
    response: Response | None = None


def encode(backend: TokenBackend, requests: Sequence[Request], overlength: Overlength) -> list[Job]:
    """A job for every request, in order."""
    jobs: list[Job] = []
    for begin in range(0, len(requests), CHUNK):
        chunk = requests[begin : begin + CHUNK]
        encoder = _Encoder(backend, overlength, chunk)
        jobs += [encoder.job(request) for request in chunk]
    return jobs


class _Encoder:
    """Encodes the distinct texts of a chunk in two batches, then looks them up."""

    def __init__(self, backend: TokenBackend, overlength: Overlength, requests: Sequence[Request]) -> None:
        self._backend = backend
        self._info = backend.info
        self._overlength = overlength
        self._by_text = self._encode_all((text for r in requests for text in _texts(r)), None)
        self._bare = self._encode_all(
            (r.continuation for r in requests if isinstance(r, Score) and not r.context), False
        )

    def _encode_all(self, texts: Iterable[str], special: bool | None) -> dict[str, list[int]]:
        distinct = list(dict.fromkeys(texts))
        return dict(zip(distinct, self._backend.encode(distinct, special), strict=True)) if distinct else {}

    def job(self, request: Request) -> Job:
        if isinstance(request, Score):
            return self._score(request)
        if isinstance(request, Generate):
            return self._generate(request)
        return self._rolling(request)

    def _score(self, request: Score) -> Job:
        context, continuation = self._split(request)
        if not continuation:
            return _failed("the continuation has no tokens of its own")
        window = self._info.max_length + 1
        if len(continuation) >= window:
            return _failed(f"the continuation has {len(continuation)} tokens, the model's window {window - 1}")
        excess = max(0, len(context) + len(continuation) - window)
        if excess and (refused := self._refuse(len(context) + len(continuation))):
            return refused
        tokens = np.array(context[excess:] + continuation, dtype=np.int32)
        row = ScoreRow(tokens, len(tokens) - len(continuation))
        key = score_key(self._info.fingerprint, tokens, row.start)
        return Job(key, scores=(row,), prompt_tokens=row.start, truncated=excess)

    def _split(self, request: Score) -> tuple[list[int], list[int]]:
        if not request.context:
            continuation = self._bare[request.continuation]
            if continuation and continuation[0] == self._backend.prefix_id:
                return continuation[:1], continuation[1:]
            return [self._backend.prefix_id], continuation
        context, continuation_text = _boundary(request)
        head = self._by_text[context]
        whole = self._by_text[context + continuation_text]
        if not head:  # a context of spaces alone, which all moved to the continuation
            return [self._backend.prefix_id], whole
        return head, whole[len(head) :]

    def _generate(self, request: Generate) -> Job:
        room = self._info.max_length - request.max_tokens
        if room <= 0:
            return _failed(
                f"asked for {request.max_tokens} new tokens, but the model's window has {self._info.max_length}"
            )
        prompt = self._by_text[request.context] or [self._backend.prefix_id]
        excess = max(0, len(prompt) - room)
        if excess and (refused := self._refuse(len(prompt) + request.max_tokens)):
            return refused
        tokens = np.array(prompt[excess:], dtype=np.int32)
        key = generate_key(
            self._info.fingerprint, tokens, request.until, request.max_tokens, request.sampling, request.repeat
        )
        row = GenerateRow(tokens, request.until, request.max_tokens, request.sampling, key)
        return Job(key, generate=row, prompt_tokens=len(tokens), truncated=excess)

    def _rolling(self, request: Rolling) -> Job:
        tokens = self._by_text[request.text]
        if not tokens:
            return _failed("the text has no tokens")
        rows = tuple(rolling_windows(tokens, self._backend.prefix_id, self._info.max_length))
        key = rolling_key(
            self._info.fingerprint, np.array(tokens, dtype=np.int32), self._info.max_length, self._backend.prefix_id
        )
        return Job(key, scores=rows, prompt_tokens=len(tokens))

    def _refuse(self, length: int) -> Job | None:
        """What happens to a prompt that does not fit, unless it is truncated."""
        if self._overlength == "truncate":
            return None
        reason = f"{length} tokens do not fit the model's window of {self._info.max_length}"
        status: Literal["unscored", "error"] = "unscored" if self._overlength == "skip" else "error"
        excess = length - self._info.max_length
        return Job(response=Response(status=status, error=reason, prompt_tokens=length, truncated=excess))


def _texts(request: Request) -> tuple[str, ...]:
    """The texts of a request that are encoded with the model's own special tokens."""
    if isinstance(request, Rolling):
        return (request.text,)
    if isinstance(request, Generate):
        return (request.context,)
    if not request.context:
        return ()
    context, continuation = _boundary(request)
    return (context, context + continuation)


def _boundary(request: Score) -> tuple[str, str]:
    """Context and continuation with the context's trailing white space moved over."""
    context = request.context.rstrip()
    return context, request.context[len(context) :] + request.continuation


def _failed(reason: str) -> Job:
    return Job(response=Response(status="error", error=reason))


def rolling_windows(tokens: Sequence[int], prefix: int, window: int) -> list[ScoreRow]:
    """Disjoint windows over a text: every token is scored once, given at least one token and at most ``window``.

    The first window predicts its tokens after ``prefix``; each later one scores the next ``window`` tokens after
    the token before them, the last as many as are left after as long a context as fits.
    """
    rows = []
    done = 0
    whole = [prefix, *tokens]
    while done < len(tokens):
        scored = min(window, len(tokens) - done)
        end = done + scored
        begin = max(0, end - window)
        context = whole[begin : done + 1]
        rows.append(ScoreRow(np.array(context + list(tokens[done:end]), dtype=np.int32), len(context)))
        done = end
    return rows
