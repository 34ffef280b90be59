"""Requests become token rows, by lm-evaluation-harness's rules for the boundary between context and continuation.

The rules (lm_eval 0.4.13, api/model.py TemplateLM and models/huggingface.py HFLM): trailing spaces of the context
belong to the continuation; the continuation is what the encoding of the whole has behind the encoding of the context;
an empty context is the prefix token; what is too long loses tokens on the left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

import evalkit
from evalkit.contract.backend import GenerateRow, LoglikelihoodRow, TokenBackend, Tokens
from evalkit.contract.optional import KnowsEncoding, capabilities
from evalkit.contract.types import Generate, Request, Response, Rolling, Score
from evalkit.engine.encodings import EncodingCache, Encodings, Ragged
from evalkit.store.identity import generate_key, rolling_key, score_key
from evalkit.store.kept import encodings_dir

Overlength = Literal["truncate", "skip", "error"]

CHUNK = 4096
"""Requests encoded at a time: large enough for the tokenizer's threads, small enough to bound memory."""

RULES = 2
"""Version of `tokenize`: raise it with every change of what it gives, and kept encodings are made anew."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One request on its way: its identity and its rows, or the response that needs no model."""

    key: str = ""
    scores: tuple[LoglikelihoodRow, ...] = ()
    generate: GenerateRow | None = None
    prompt_tokens: int = 0
    truncated: int = 0
    response: Response | None = None


def encode(backend: TokenBackend, requests: Sequence[Request], overlength: Overlength) -> list[Job]:
    """A job for every request, in order. Token ids that an earlier run kept are read instead of made."""
    cache = _cache(backend)
    maker = _Jobs(backend, overlength)
    jobs: list[Job] = []
    for begin in range(0, len(requests), CHUNK):
        chunk = requests[begin : begin + CHUNK]
        make = partial(tokenize, backend, chunk)
        encodings = make() if cache is None else cache.through(chunk, make)
        jobs += [maker.job(r, encodings.head(place), encodings.tail(place)) for place, r in enumerate(chunk)]
    return jobs


def _cache(backend: TokenBackend) -> EncodingCache | None:
    """Where this backend's encodings are kept; None for a tokenizer that does not say what its ids depend on."""
    identity = backend.encoding_identity if isinstance(backend, KnowsEncoding) else None
    folder = encodings_dir()
    if identity is None or folder is None:
        return None
    whole = {"tokenizer": identity, "prefix": backend.prefix_id, "rules": RULES, "evalkit": evalkit.__version__}
    if _reads_apart(backend):
        whole["apart"] = True
    return EncodingCache(folder, whole)


def tokenize(backend: TokenBackend, requests: Sequence[Request]) -> Encodings:
    """The token ids of ``requests``: their distinct texts are encoded in two batches, then looked up."""
    apart = _reads_apart(backend)
    by_text = _encoded(backend, (text for request in requests for text in _texts(request, apart)), None)
    bare = _encoded(backend, (text for request in requests for text in _bare_texts(request, apart)), False)
    prefix = [backend.prefix_id]
    heads: list[Sequence[int]] = [prefix]
    numbers: dict[str, int] = {}
    head_of = np.zeros(len(requests), dtype=np.int32)
    tails: list[Sequence[int]] = []
    for place, request in enumerate(requests):
        text, tail = _split(request, by_text, bare, prefix, apart)
        if isinstance(request, Rolling):
            head_of[place] = len(heads)
            heads.append(_without(prefix, bare[request.text]))
        elif text is not None:
            if text not in numbers:
                numbers[text] = len(heads)
                heads.append(by_text[text])
            head_of[place] = numbers[text]
        tails.append(tail)
    return Encodings(Ragged.of(heads), head_of, Ragged.of(tails))


def _encoded(backend: TokenBackend, texts: Iterable[str], special: bool | None) -> dict[str, list[int]]:
    distinct = list(dict.fromkeys(texts))
    return dict(zip(distinct, backend.encode(distinct, special), strict=True)) if distinct else {}


def _split(
    request: Request,
    by_text: Mapping[str, list[int]],
    bare: Mapping[str, list[int]],
    prefix: list[int],
    apart: bool,
) -> tuple[str | None, list[int]]:
    """The text whose ids are the context (None: the prefix token alone), and the ids of the continuation."""
    if isinstance(request, Rolling):
        return None, []
    if not isinstance(request, Score):
        return request.context if by_text[request.context] else None, []
    if not request.context:
        return None, _without(prefix, bare[request.continuation])
    context, rest = boundary(request)
    if apart:
        return context if by_text[context] else None, bare[rest]
    whole = by_text[context + rest]
    if not by_text[context]:  # a context of spaces alone, which all moved to the continuation
        return None, whole
    return context, whole[len(by_text[context]) :]


class _Jobs:
    """Turns token ids into rows that fit the model's window, or says why not."""

    def __init__(self, backend: TokenBackend, overlength: Overlength) -> None:
        self._prefix = backend.prefix_id
        self._info = backend.info
        self._apart = _reads_apart(backend)
        self._overlength = overlength

    def job(self, request: Request, head: Tokens, tail: Tokens) -> Job:
        if isinstance(request, Score):
            return self._score(head, tail)
        if isinstance(request, Generate):
            return self._generate(request, head)
        return self._rolling(head)

    def _score(self, context: Tokens, continuation: Tokens) -> Job:
        if not len(continuation):
            return _failed("the continuation has no tokens of its own")
        window = self._info.max_length + 1
        if self._apart:  # a window each
            window += len(continuation) - 1
        if len(continuation) > self._info.max_length:
            return _failed(
                f"the continuation has {len(continuation)} tokens, the model's window {self._info.max_length}"
            )
        excess = max(0, len(context) + len(continuation) - window)
        if excess and (refused := self._refuse(len(context) + len(continuation))):
            return refused
        tokens = np.concatenate((context[excess:], continuation))
        row = LoglikelihoodRow(tokens, len(tokens) - len(continuation))
        key = score_key(self._info.fingerprint, tokens, row.start)
        return Job(key, scores=(row,), prompt_tokens=row.start, truncated=excess)

    def _generate(self, request: Generate, prompt: Tokens) -> Job:
        room = self._info.max_length - request.max_tokens
        if self._apart and room >= 0:  # a window each
            room = self._info.max_length
        if room <= 0:
            return _failed(
                f"asked for {request.max_tokens} new tokens, but the model's window has {self._info.max_length}"
            )
        excess = max(0, len(prompt) - room)
        if excess and (refused := self._refuse(len(prompt) + request.max_tokens)):
            return refused
        tokens = prompt[excess:]
        key = generate_key(
            self._info.fingerprint, tokens, request.until, request.max_tokens, request.sampling, request.repeat
        )
        row = GenerateRow(tokens, request.until, request.max_tokens, request.sampling, key)
        return Job(key, generate=row, prompt_tokens=len(tokens), truncated=excess)

    def _rolling(self, tokens: Tokens) -> Job:
        if not len(tokens):
            return _failed("the text has no tokens")
        rows = tuple(rolling_windows(tokens.tolist(), self._prefix, self._info.max_length))
        key = rolling_key(self._info.fingerprint, tokens, self._info.max_length, self._prefix)
        return Job(key, scores=rows, prompt_tokens=len(tokens))

    def _refuse(self, length: int) -> Job | None:
        """What happens to a prompt that does not fit, unless it is truncated."""
        if self._overlength == "truncate":
            return None
        reason = f"{length} tokens do not fit the model's window of {self._info.max_length}"
        status: Literal["unscored", "error"] = "unscored" if self._overlength == "skip" else "error"
        excess = length - self._info.max_length
        return Job(response=Response(status=status, error=reason, prompt_tokens=length, truncated=excess))


def _reads_apart(backend: TokenBackend) -> bool:
    """Whether an encoder reads the context: then context and continuation are encoded apart, with a window each."""
    return capabilities(backend).architecture == "encoder_decoder"


def _texts(request: Request, apart: bool) -> tuple[str, ...]:
    """The texts of a request that are encoded with the model's own special tokens."""
    if isinstance(request, Rolling):
        return ()
    if not isinstance(request, Score):
        return (request.context,)
    if not request.context:
        return ()
    context, continuation = boundary(request)
    return (context,) if apart else (context, context + continuation)


def _bare_texts(request: Request, apart: bool) -> tuple[str, ...]:
    """The texts of a request that are encoded without special tokens: a whole text's own, which stands behind the
    prefix token (lm-eval encodes it with them, which gives models whose tokenizer adds one a second BOS), and a
    continuation without a context, or one that a decoder reads apart from it.
    """
    if isinstance(request, Rolling):
        return (request.text,)
    if not isinstance(request, Score):
        return ()
    if not request.context:
        return (request.continuation,)
    return (boundary(request)[1],) if apart else ()


def _without(prefix: list[int], tokens: list[int]) -> list[int]:
    """``tokens`` without the prefix that they bring themselves."""
    return tokens[1:] if tokens[:1] == prefix else tokens


def boundary(request: Score) -> tuple[str, str]:
    """Context and continuation with the context's trailing white space moved over."""
    context = request.context.rstrip()
    return context, request.context[len(context) :] + request.continuation


def _failed(reason: str) -> Job:
    return Job(response=Response(status="error", error=reason))


def rolling_windows(tokens: Sequence[int], prefix: int, window: int) -> list[LoglikelihoodRow]:
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
        rows.append(LoglikelihoodRow(np.array(context + list(tokens[done:end]), dtype=np.int32), len(context)))
        done = end
    return rows
