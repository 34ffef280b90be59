"""Text from a server, in the words of its API (`evalkit.backends.openai.wire`).

The reply is asked for as a stream, so that the time to the first token and between tokens can be measured. A server
that refuses to stream is asked for whole replies from then on; one that ignores the wish is understood. A parameter
that the server refuses by name is left out or renamed where that asks the same (`evalkit.backends.openai.adapting`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from evalkit.backends.openai.adapting import Adaptation
from evalkit.backends.openai.http import Client, RequestFailed, Timed
from evalkit.backends.openai.replies import Unusable, Withheld, is_filtered, is_too_long
from evalkit.backends.openai.streaming import Stream
from evalkit.backends.openai.wire import Counted, OpenAIWire, Said, Wire
from evalkit.backends.pricing import Price
from evalkit.backends.thinking import PAIRS, Answer, Marks, answer_of
from evalkit.contract.types import UNFINISHED, WITHHELD, Generate, Response, Usage
from evalkit.perf.meter import Exchange, Meter

REFUSALS = frozenset({400, 406, 415, 422, 501})
"""What a server may answer that does not stream, or does not know stream_options."""


@dataclass(frozen=True, slots=True)
class _Reply:
    """What came back, and what it took."""

    said: Said
    counted: Counted
    cost: float | None


@dataclass(frozen=True, slots=True)
class Terms:
    """What is agreed on with a server beside its words: its price, and what becomes of a prompt that is too long
    ("error", or "skip": it has no score).
    """

    price: Price | None = None
    overlength: str = "error"


class Generator:
    """Asks one server for texts, several at a time. ``tokens_of`` counts the tokens of a text
    where the server does not.
    """

    def __init__(
        self,
        client: Client,
        model: str,
        adaptation: Adaptation,
        meter: Meter,
        streams: bool = True,
        tokens_of: Callable[[str], int] | None = None,
        marks: Marks = Marks(*PAIRS[0]),
        variables: Mapping[str, Any] | None = None,
        wire: Wire | None = None,
        terms: Terms = Terms(),
    ) -> None:
        self._client = client
        self._model = model
        self._adaptation = adaptation
        self._meter = meter
        self._streams = streams
        self._tokens_of = tokens_of
        self._marks = marks
        self._variables = dict(variables or {})
        self._wire = wire or OpenAIWire()
        self._terms = terms
        if marks.sure:
            adaptation.stop_here()

    async def generate(self, request: Generate) -> Response:
        """The answer before the first stop string behind its thought. A reply without text is an error, an empty text
        is an answer.
        """
        paid = 0.0
        while True:
            reply = await self._replied(request)
            if isinstance(reply, Response):
                return reply if not paid else replace(reply, usage=_more(reply.usage, paid))
            answer, stopped = self._read(reply, request)
            # The server stopped within the thought, where stop strings do not count: it is asked without them.
            if stopped and answer.finish == UNFINISHED and not self._adaptation.stops_here:
                self._adaptation.stop_here()
                paid += reply.cost or 0.0
                continue
            finish = answer.finish
            if finish not in ("stop", "length", UNFINISHED):
                finish = self._client.clean(finish, 40) if finish else ""
            usage = self._usage(reply.counted, reply.cost)
            return Response(
                text=answer.text,
                finish=finish or None,
                prompt_tokens=reply.counted.given or 0,
                output_tokens=reply.counted.made or 0,
                thought=answer.thought,
                usage=_more(usage, paid) if paid else usage,
            )

    async def _replied(self, request: Generate) -> _Reply | Response:
        """The server's words, or the failure that they are."""
        chat = request.messages is not None
        try:
            wanted = self._wire.body(self._model, self._adaptation.length_field, request, self._variables)
        except ValueError as error:  # marks that do not fit the images
            return Response("error", error=str(error))
        try:
            timed = await self._adapted(wanted, request)
        except RequestFailed as error:
            status = _outcome(error, self._terms.overlength)
            if status is None:
                raise
            return status
        counted = self._counted(timed.reply, request)
        cost = self._cost(counted, request)
        try:
            said = self._wire.said(timed.reply, chat)
        except Unusable as error:
            kept = isinstance(error, Withheld)
            return Response(
                "unscored" if kept else "error",
                error=str(error),
                finish=WITHHELD if kept else None,
                prompt_tokens=counted.given or 0,
                output_tokens=counted.made or 0,
                usage=self._usage(counted, cost),
            )
        said = replace(said, text=self._client.blot(said.text), thought=self._client.blot(said.thought))
        if counted.made is None and self._tokens_of is not None:
            counted = replace(counted, made=self._tokens_of(said.thought + said.text))
        self._meter.exchange(_exchange(timed, counted))
        return _Reply(said, counted, cost)

    def _read(self, reply: _Reply, request: Generate) -> tuple[Answer, bool]:
        """The answer, and whether a stop string of the request may have ended the reply."""
        said = reply.said
        stopped = bool(request.until) and said.finish == "stop"
        opened = request.messages is None and self._marks.opened_by(request.context)
        if said.thought:  # told apart by the server
            text = said.text.lstrip()
            if not text:
                return Answer("", said.thought, UNFINISHED), stopped
            answer = answer_of(text, request.until, self._marks, False, said.finish)
            return replace(answer, thought=said.thought + (answer.thought or "")), False
        if said.finish == "length" and reply.counted.reasoning and not said.text:  # thought, and told to nobody
            return Answer("", None, UNFINISHED), False
        return answer_of(said.text, request.until, self._marks, opened, said.finish), stopped

    async def _adapted(self, wanted: Mapping[str, Any], request: Generate) -> Timed:
        """The reply to ``wanted``, sent as the server turns out to take it."""
        while True:
            sent = self._adaptation.apply(wanted)
            try:
                return await self._ask(request.messages is not None, sent)
            except RequestFailed as error:
                # Another request may have taught meanwhile what this one was refused for.
                if self._adaptation.apply(wanted) == sent and not self._adaptation.learn(error, sent, request):
                    raise

    async def _ask(self, chat: bool, sent: Mapping[str, Any]) -> Timed:
        whole = self._wire.path(self._model, chat, False)
        if self._streams:
            path = self._wire.path(self._model, chat, True)
            try:
                return await self._client.stream(path, {**sent, **self._wire.streams}, self._wire.begin)
            except RequestFailed as error:
                if not _refuses_streams(error):
                    raise
            timed = await self._client.post_timed(whole, sent)
            self._streams = False
            return timed
        return await self._client.post_timed(whole, sent)

    def _counted(self, reply: Any, request: Generate) -> Counted:
        """Tokens as the server says, else the prompt's as the tokenizer counts them, else not known."""
        found = self._wire.counted(reply)
        if found.given is None and self._tokens_of is not None:
            found = replace(found, given=self._tokens_of(request.context))
        return found

    def _cost(self, counted: Counted, request: Generate) -> float | None:
        """USD of a reply: as the server says, else by its tokens; what it does not count is taken at the most."""
        price = self._terms.price
        if price is None or counted.cost is not None:
            return counted.cost
        given = len(request.context.encode()) if counted.given is None else counted.given
        made = request.max_tokens if counted.made is None else counted.made
        return price.cost(given, made, counted.cached or 0, counted.stored or 0)

    def _usage(self, counted: Counted, cost: float | None) -> Usage | None:
        if self._terms.price is None and counted.cost is None:
            return None
        return Usage(counted.cached or 0, counted.reasoning or 0, cost)


def _more(usage: Usage | None, paid: float) -> Usage:
    """The usage with what an earlier try was paid for."""
    found = usage or Usage()
    return replace(found, cost=(found.cost or 0.0) + paid)


def _outcome(error: RequestFailed, overlength: str) -> Response | None:
    """What a refusal is that another try would not change and that says something of the question; None: a failure."""
    if is_filtered(error.code, str(error)):
        said = f"the provider's content filter refuses the prompt ({error})"
        return Response("unscored", error=said, finish=WITHHELD)
    if error.status in (400, 413, 422) and is_too_long(error.code, str(error)):
        said = f"the prompt does not fit the model's window ({error})"
        return Response("unscored" if overlength == "skip" else "error", error=said)
    return None


def _refuses_streams(error: RequestFailed) -> bool:
    """Whether the failure is about streaming itself: any other mistake would come back without it, too."""
    return error.status in REFUSALS and (error.status in (406, 501) or "stream" in str(error).lower())


def _exchange(timed: Timed, counted: Counted) -> Exchange:
    pieces = timed.reply.pieces if isinstance(timed.reply, Stream) else []
    return Exchange(
        given=counted.given,
        generated=counted.made,
        cached=counted.cached,
        seconds=timed.seconds,
        ttft=pieces[0] if pieces else None,
        gaps=tuple(later - earlier for earlier, later in pairwise(pieces)),
        decode_seconds=pieces[-1] - pieces[0] if len(pieces) > 1 else None,
    )
