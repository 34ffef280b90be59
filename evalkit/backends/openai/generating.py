"""Text from a server: chat completions for conversations, completions for plain prompts.

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
from evalkit.backends.openai.replies import Unusable, Withheld, count, first_choice, text_in, thought_in, verdict
from evalkit.backends.openai.streaming import Stream
from evalkit.backends.openai.usage import cached, usage_of
from evalkit.backends.thinking import PAIRS, Answer, Marks, answer_of
from evalkit.contract.errors import UserError
from evalkit.contract.types import UNFINISHED, Generate, Response, Status
from evalkit.perf.meter import Exchange, Meter
from evalkit.store.identity import is_greedy

MAX_STOPS = 4
"""Stop strings that the API takes; the rest are cut here."""

RESERVED = frozenset(
    {
        "model",
        "prompt",
        "messages",
        "stream",
        "stream_options",
        "n",
        "best_of",
        "echo",
        "logprobs",
        "stop",
        "suffix",
        "chat_template_kwargs",
    }
)
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
REFUSALS = frozenset({400, 406, 415, 422, 501})
"""What a server may answer that does not stream, or does not know stream_options."""


@dataclass(frozen=True, slots=True)
class _Reply:
    """What came back: text, thought, why it ended ("": not told), and the tokens of prompt and both."""

    text: str
    thought: str
    finish: str
    given: int | None
    made: int | None


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
    ) -> None:
        self._client = client
        self._model = model
        self._adaptation = adaptation
        self._meter = meter
        self._streams = streams
        self._tokens_of = tokens_of
        self._marks = marks
        self._variables = dict(variables or {})
        if marks.sure:
            adaptation.stop_here()

    async def generate(self, request: Generate) -> Response:
        """The answer before the first stop string behind its thought. A reply without text is an error, an empty text
        is an answer.
        """
        while True:
            reply = await self._replied(request)
            if isinstance(reply, Response):
                return reply
            answer, stopped = self._read(reply, request)
            # The server stopped within the thought, where stop strings do not count: it is asked without them.
            if stopped and answer.finish == UNFINISHED and not self._adaptation.stops_here:
                self._adaptation.stop_here()
                continue
            finish = answer.finish
            if finish not in ("stop", "length", UNFINISHED):
                finish = self._client.clean(finish, 40) if finish else ""
            return Response(
                text=answer.text,
                finish=finish or None,
                prompt_tokens=reply.given or 0,
                output_tokens=reply.made or 0,
                thought=answer.thought,
            )

    async def _replied(self, request: Generate) -> _Reply | Response:
        """The server's words, or the failure that they are."""
        chat = request.messages is not None
        path = "/chat/completions" if chat else "/completions"
        wanted = body(self._model, self._adaptation.length_field, request, self._variables)
        timed = await self._adapted(path, wanted, request)
        try:
            text, thought, finish = _text(timed.reply, chat)
        except Unusable as error:
            status: Status = "unscored" if isinstance(error, Withheld) else "error"
            return Response(status=status, error=str(error))
        text, thought = self._client.blot(text), self._client.blot(thought)
        given, made = self._tokens(timed.reply, request, thought + text)
        self._meter.exchange(_exchange(timed, given, made))
        return _Reply(text, thought, finish, given, made)

    def _read(self, reply: _Reply, request: Generate) -> tuple[Answer, bool]:
        """The answer, and whether a stop string of the request may have ended the reply."""
        stopped = bool(request.until) and reply.finish == "stop"
        opened = request.messages is None and self._marks.opened_by(request.context)
        if reply.thought:  # told apart by the server
            text = reply.text.lstrip()
            if not text:
                return Answer("", reply.thought, UNFINISHED), stopped
            answer = answer_of(text, request.until, self._marks, False, reply.finish)
            return replace(answer, thought=reply.thought + (answer.thought or "")), False
        return answer_of(reply.text, request.until, self._marks, opened, reply.finish), stopped

    async def _adapted(self, path: str, wanted: Mapping[str, Any], request: Generate) -> Timed:
        """The reply to ``wanted``, sent as the server turns out to take it."""
        while True:
            sent = self._adaptation.apply(wanted)
            try:
                return await self._ask(path, sent)
            except RequestFailed as error:
                # Another request may have taught meanwhile what this one was refused for.
                if self._adaptation.apply(wanted) == sent and not self._adaptation.learn(error, sent, request):
                    raise

    async def _ask(self, path: str, sent: Mapping[str, Any]) -> Timed:
        if self._streams:
            try:
                return await self._client.stream(path, {**sent, **STREAM}, Stream)
            except RequestFailed as error:
                if not _refuses_streams(error):
                    raise
            timed = await self._client.post_timed(path, sent)
            self._streams = False
            return timed
        return await self._client.post_timed(path, sent)

    def _tokens(self, reply: Any, request: Generate, text: str) -> tuple[int | None, int | None]:
        """Tokens of prompt and text: as the server says, else as the tokenizer counts them, else not known."""
        usage = usage_of(reply)
        given, made = count(usage, "prompt_tokens"), count(usage, "completion_tokens")
        if self._tokens_of is not None:
            given = self._tokens_of(request.context) if given is None else given
            made = self._tokens_of(text) if made is None else made
        return given, made


def _refuses_streams(error: RequestFailed) -> bool:
    """Whether the failure is about streaming itself: any other mistake would come back without it, too."""
    return error.status in REFUSALS and (error.status in (406, 501) or "stream" in str(error).lower())


def _exchange(timed: Timed, given: int | None, made: int | None) -> Exchange:
    pieces = timed.reply.pieces if isinstance(timed.reply, Stream) else []
    return Exchange(
        given=given,
        generated=made,
        cached=cached(timed.reply),
        seconds=timed.seconds,
        ttft=pieces[0] if pieces else None,
        gaps=tuple(later - earlier for earlier, later in pairwise(pieces)),
        decode_seconds=pieces[-1] - pieces[0] if len(pieces) > 1 else None,
    )


def body(
    model: str, max_tokens_field: str, request: Generate, variables: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What is sent. Raises UserError for generation settings that would change what is asked."""
    extra = {key: value for key, value in request.sampling.extra if key != "do_sample"}
    if taken := RESERVED & extra.keys():
        raise UserError(f"--gen_kwargs {', '.join(sorted(taken))}: cannot be set for a server")
    sent: dict[str, Any] = {"model": model, max_tokens_field: request.max_tokens}
    if request.messages is not None:
        sent["messages"] = [{"role": one.role, "content": one.content} for one in request.messages]
        if variables:
            sent["chat_template_kwargs"] = dict(variables)
    else:
        sent["prompt"] = request.context
    if request.until:
        sent["stop"] = list(request.until[:MAX_STOPS])
    sampling = request.sampling
    if is_greedy(sampling):
        sent["temperature"] = 0
    else:
        # Each sample of a question has a seed of its own, or they would all be one answer.
        sent |= {"temperature": sampling.temperature or 1.0, "seed": sampling.seed + request.repeat}
        if sampling.top_p < 1:
            sent["top_p"] = sampling.top_p
        if sampling.top_k > 0:
            sent["top_k"] = sampling.top_k
    return {**sent, **extra}


def _text(reply: Any, chat: bool) -> tuple[str, str, str]:
    """The text of a reply, streamed or whole, what was thought before it, and why it ended ("": not told)."""
    if isinstance(reply, Stream):
        text, refusal, thought, finish = reply.text, reply.refusal, reply.thought, reply.finish
    else:
        choice = first_choice(reply)
        inner = choice.get("message")
        message = inner if chat and isinstance(inner, Mapping) else choice
        text, refusal, finish = text_in(message), message.get("refusal"), choice.get("finish_reason")
        thought = thought_in(message)
    said = verdict(text, refusal if isinstance(refusal, str) else None, finish)
    return said, thought, str(finish or "")
