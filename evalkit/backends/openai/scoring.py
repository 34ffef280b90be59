"""Log-likelihoods from a server, in whichever of three ways it allows.

* ``tokens`` (vLLM): see `evalkit.backends.openai.token_scoring`.
* ``echo`` (vLLM and others): /completions with ``echo`` and ``logprobs`` gives back the prompt's own tokens with their
  log-probabilities. Tokens that begin at or behind the end of the context are the continuation's; where the tokens do
  not spell the prompt, the context's are counted by echoing it alone.
* ``forced`` (llama.cpp, which has no echo): /completion gets the context as token ids and a grammar that allows nothing
  but the continuation's tokens, one after another; the log-probabilities it reports are those of the raw logits, before
  any sampling rule. Token ids come from the server's /tokenize, cut by the same rule as with a local model: trailing
  white space of the context belongs to the continuation, whose tokens are what the whole has behind the context's.

Each is tried once, on a prompt whose answer shows whether the server did what was asked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from evalkit.backends.hf.tokens import Tokens
from evalkit.backends.openai.http import Client, RequestFailed, Timed
from evalkit.backends.openai.replies import Unusable, best, count, first_choice, loglikelihood
from evalkit.backends.openai.token_scoring import TokenIds
from evalkit.backends.openai.usage import cached, usage_of
from evalkit.contract.errors import UserError
from evalkit.contract.types import Message, Response, Rolling, Score
from evalkit.engine.encode import Overlength, rolling_windows
from evalkit.perf.meter import Exchange, Meter

log = logging.getLogger(__name__)

TRIALS = (
    " The quick brown fox, 1234 ≠ 5\n\n\tüber",
    "Answer: A",
    "中文 and 🙂\n  def f(x):\n",
    "<|im_start|>user\n</s>",
)
"""Texts that tokenizers cut differently."""
PROBE = Score("The quick brown fox", " jumps over the lazy dog")
NAMED = Score("The quick brown fox jumps over the lazy dog. " * 5 + "The quick brown fox", " jumps")
"""A context so long that its continuation's tokens are named rather than the prompt's values asked."""

GENERATE_INSTEAD = "add --model_args mc=generate, which lists the choices and reads the letter from the reply"


class Scorer(Protocol):
    """One way of getting log-likelihoods."""

    @property
    def name(self) -> str: ...

    async def score(self, request: Score) -> Response: ...

    async def rolling(self, request: Rolling) -> Response: ...


async def find(
    client: Client,
    model: str,
    wanted: str,
    window: int | None,
    overlength: Overlength,
    meter: Meter,
    is_vllm: bool = False,
    tokenizer: Tokens | None = None,
) -> Scorer:
    """The way that works with this server, reporting to ``meter``; ``tokenizer``: one at hand here that may be the
    server's. Raises UserError where none does.
    """

    def by_tokens(counts: Meter) -> TokenIds:
        return TokenIds(client, model, window, overlength, counts)

    ways: dict[str, Callable[[Meter], Scorer]] = {
        **({"tokens": by_tokens} if is_vllm or wanted == "tokens" else {}),
        "echo": lambda counts: Echo(client, model, counts),
        "forced": lambda counts: Forced(client, model, window, overlength, counts),
    }
    reasons = []
    for name, way in ways.items():
        if wanted not in ("auto", name):
            continue
        try:
            tried = way(Meter())  # the probe is none of the run's work
            answer = await tried.score(PROBE)
            if answer.status == "ok" and isinstance(tried, TokenIds):
                answer = await tried.score(NAMED)
        except (RequestFailed, UserError) as error:
            reasons.append(f"{name}: {error}")
            continue
        if answer.status == "ok":
            found = way(meter)
            return await _here(found, tokenizer) if isinstance(found, TokenIds) and tokenizer else found
        reasons.append(f"{name}: {answer.error}")
    why = client.clean("; ".join(reasons), 300) or "scoring=none"
    raise UserError(f"{client.url}: the server gives no log-probabilities of a prompt ({why}): {GENERATE_INSTEAD}")


async def _here(found: TokenIds, tokenizer: Tokens) -> TokenIds:
    """``found`` with the tokenizer that is at hand, where it gives the server's ids for `TRIALS`."""
    for text in TRIALS:
        for special in (True, False):
            theirs = await found.tokenized({"prompt": text, "add_special_tokens": special})
            if tokenizer.encode([text], special)[0] != theirs:
                log.warning("--model_args tokenizer: it is not the server's (%r), whose own is asked", text)
                return found
    return replace(found, here=lambda text, special: tokenizer.encode([text], special)[0], prefix=tokenizer.prefix_id)


@dataclass(frozen=True)
class Echo:
    """The prompt's own log-probabilities, echoed."""

    client: Client
    model: str
    meter: Meter
    name: str = "echo"
    lengths: dict[str, int] = field(default_factory=dict, compare=False)
    """Tokens of contexts by themselves, where they had to be counted."""

    async def score(self, request: Score) -> Response:
        """Log-likelihood of the continuation's tokens."""
        if request.messages is not None:
            return _failed("conversations cannot be scored through echo: the server's chat template is not known here")
        context = request.context.rstrip()
        prompt = request.context + request.continuation
        try:
            timed, echoed = await self._echoed(prompt)
            places = _places(echoed.tokens, prompt)
            if places is not None:
                # A token that only completes a character has no text of its own: it lies where the next one begins.
                inside = [index for index, place in enumerate(places) if len(context) <= place < len(prompt)]
            else:
                inside = list(range(await self._length(context, echoed), echoed.given))
            found = _sum(echoed, inside)
        except Unusable as error:
            return _failed(str(error))
        given = found.prompt_tokens + found.output_tokens
        self.meter.exchange(Exchange(given, cached=cached(timed.reply), scored=True, seconds=timed.seconds))
        return found

    async def rolling(self, request: Rolling) -> Response:
        """Not possible: the windows of a long text are made of tokens, which stay on the server."""
        return _failed("whole texts cannot be scored through echo: use a local model (--model FOLDER or FILE.gguf)")

    async def _echoed(self, prompt: str) -> tuple[Timed, _Echoed]:
        body = {"model": self.model, "prompt": prompt, "max_tokens": 1, "echo": True, "logprobs": 1, "temperature": 0}
        timed = await self.client.post_timed("/completions", body)
        return timed, _read(timed.reply)

    async def _length(self, context: str, whole: _Echoed) -> int:
        """Tokens that the context has by itself, special ones included: where the tokens that come back are no text of
        the prompt (bytes of a character, words without their spaces), the boundary is counted. It is the same rule as
        with a local model: the continuation's tokens are what the whole has behind the context's.
        """
        if not context:  # nothing to ask about: what has no log-probability stands before the text
            return 1 if whole.values[0] is None else 0
        if context not in self.lengths:
            if len(self.lengths) >= REMEMBERED:
                self.lengths.clear()
            _, alone = await self._echoed(context)
            self.lengths[context] = alone.given
        return self.lengths[context]


REMEMBERED = 10_000
"""Contexts whose tokens have been counted: the choices of a question share one, and come one after another."""


@dataclass(frozen=True, slots=True)
class _Echoed:
    """What came back for a prompt, token by token; the last ones may be new."""

    tokens: list[str]
    values: list[Any]
    tops: list[Any]
    given: int
    """Tokens of the prompt."""


def _read(reply: Any) -> _Echoed:
    """The report of an echo. Raises Unusable."""
    report = first_choice(reply).get("logprobs")
    if not isinstance(report, Mapping) or not isinstance(report.get("token_logprobs"), list):
        raise Unusable("no log-probabilities of the prompt came back")
    tokens, values = report.get("tokens"), report["token_logprobs"]
    tops = report.get("top_logprobs") or [None] * len(values)
    if not isinstance(tokens, list) or not isinstance(tops, list) or not len(tokens) == len(values) == len(tops):
        raise Unusable("tokens and log-probabilities that came back differ in number")
    if not values:
        raise Unusable("no log-probabilities of the prompt came back")
    usage = usage_of(reply)
    made = count(usage, "completion_tokens")
    given = count(usage, "prompt_tokens")
    if given is None or given > len(values) or (made is not None and given + made != len(values)):
        given = len(values) - (1 if made is None else min(made, len(values)))
    return _Echoed([str(token) for token in tokens], values, tops, given)


def _sum(echoed: _Echoed, inside: Sequence[int]) -> Response:
    """The log-likelihood of the tokens at the places ``inside``. Raises Unusable."""
    if not inside:
        raise Unusable("the continuation has no tokens of its own")
    total, greedy = 0.0, True
    for index in inside:
        if echoed.values[index] is None:
            raise Unusable("the server gives no log-probability for the first token of a text")
        value = loglikelihood(echoed.values[index])
        top = echoed.tops[index]
        highest = best(top.values()) if isinstance(top, Mapping) else None
        total += value
        greedy = greedy and highest is not None and value >= highest
    return Response(
        loglikelihood=total, is_greedy=greedy, prompt_tokens=inside[0], output_tokens=len(inside), finish=None
    )


def _places(tokens: Sequence[str], prompt: str) -> list[int] | None:
    """Where in ``prompt`` each token begins; what the server put before it (a BOS) is negative. None where the tokens
    do not spell the prompt.

    Offsets are counted here, not taken from ``text_offset``, which some servers count otherwise.
    """
    offsets, length = [], 0
    for token in tokens:
        offsets.append(length)
        length += len(token)
    begin = "".join(tokens).find(prompt)
    return None if begin < 0 else [offset - begin for offset in offsets]


@dataclass(frozen=True)
class Forced:
    """llama.cpp's server, made to produce the continuation."""

    client: Client
    model: str
    window: int | None
    overlength: Overlength
    meter: Meter
    name: str = "forced"

    async def score(self, request: Score) -> Response:
        """Log-likelihood of the continuation's tokens."""
        try:
            context, continuation = await self._tokens(request)
            if not continuation:
                return _failed("the continuation has no tokens of its own")
            return await self._fitted(context, continuation)
        except Unusable as error:
            return _failed(str(error))

    async def rolling(self, request: Rolling) -> Response:
        """Log-likelihood of a whole text in disjoint windows."""

        try:
            tokens = await self._encode(request.text, True)
            if not tokens or self.window is None:
                return _failed("the text has no tokens" if not tokens else "the server's window is not known")
            rows = rolling_windows(tokens, await self._prefix(), self.window)
            parts = [
                await self._forced(row.tokens[: row.start].tolist(), row.tokens[row.start :].tolist()) for row in rows
            ]
        except Unusable as error:
            return _failed(str(error))
        return Response(
            loglikelihood=sum(total for total, _ in parts),
            is_greedy=all(greedy for _, greedy in parts),
            prompt_tokens=len(tokens),
            output_tokens=len(tokens),
        )

    async def _fitted(self, context: list[int], continuation: list[int]) -> Response:
        excess = 0
        if self.window is not None:
            if len(continuation) >= self.window:
                return _failed(f"the continuation has {len(continuation)} tokens, the server's window {self.window}")
            excess = max(0, len(context) + len(continuation) - self.window)
        if excess and self.overlength != "truncate":
            reason = f"{len(context) + len(continuation)} tokens do not fit the server's window of {self.window}"
            status = "unscored" if self.overlength == "skip" else "error"
            return Response(status=status, error=reason, prompt_tokens=len(context), truncated=excess)  # type: ignore[arg-type]
        total, greedy = await self._forced(context[excess:], continuation)
        return Response(
            loglikelihood=total,
            is_greedy=greedy,
            prompt_tokens=len(context) - excess,
            output_tokens=len(continuation),
            truncated=excess,
        )

    async def _tokens(self, request: Score) -> tuple[list[int], list[int]]:
        text = request.context if request.messages is None else await self._templated(request.messages)
        context = text.rstrip()
        head = await self._encode(context, True) if context else []
        if not head:
            whole = await self._encode(text + request.continuation, False)
            prefix = await self._prefix()
            return ([prefix], whole[1:]) if whole[:1] == [prefix] else ([prefix], whole)
        whole = await self._encode(text + request.continuation, True)
        return head, whole[len(head) :]

    async def _forced(self, context: Sequence[int], continuation: Sequence[int]) -> tuple[float, bool]:
        body = {
            "prompt": list(context),
            "n_predict": len(continuation),
            "grammar": "root ::= " + " ".join(f"<[{token}]>" for token in continuation),
            "n_probs": 1,
            "temperature": 0,
            "cache_prompt": True,
            "return_tokens": True,
            "ignore_eos": False,
        }
        timed = await self.client.post_timed("/completion", body, root=True)
        reply = timed.reply
        report = reply.get("completion_probabilities") if isinstance(reply, Mapping) else None
        if not isinstance(report, list) or [_entry(one, "id") for one in report] != list(continuation):
            raise Unusable("the server did not produce the tokens that the grammar asks for")
        total, greedy = 0.0, True
        for one in report:
            total += loglikelihood(_entry(one, "logprob"))
            top = one.get("top_logprobs")
            likeliest = top[0] if isinstance(top, list) and top else None
            greedy = greedy and _entry(likeliest, "id") == one["id"]
        given = len(context) + len(continuation) - 1  # nothing is read behind the last token
        self.meter.exchange(Exchange(given, cached=cached(reply), scored=True, seconds=timed.seconds))
        return total, greedy

    async def _encode(self, text: str, special: bool) -> list[int]:
        body = {"content": text, "add_special": special, "parse_special": True}
        reply = await self.client.post("/tokenize", body, root=True)
        tokens = reply.get("tokens") if isinstance(reply, Mapping) else None
        if not isinstance(tokens, list) or not all(
            isinstance(one, int) and not isinstance(one, bool) and 0 <= one < 1 << 31 for one in tokens
        ):
            raise Unusable("the server's /tokenize gives no token ids")
        return tokens

    async def _prefix(self) -> int:
        """What stands before an empty context: the beginning-of-text token, else the end-of-text token."""
        props = await self.client.get("/props", root=True)
        names = [props.get(name) for name in ("bos_token", "eos_token")] if isinstance(props, Mapping) else []
        for name in names:
            if isinstance(name, str) and name and len(found := await self._encode(name, False)) == 1:
                return found[0]
        raise Unusable("the server names no token to stand before an empty context")

    async def _templated(self, messages: Sequence[Message]) -> str:
        turns = [{"role": one.role, "content": one.content} for one in messages]
        reply = await self.client.post("/apply-template", {"messages": turns}, root=True)
        prompt = reply.get("prompt") if isinstance(reply, Mapping) else None
        if not isinstance(prompt, str):
            raise Unusable("the server's /apply-template gives no prompt")
        return prompt


def _entry(one: Any, key: str) -> Any:
    return one.get(key) if isinstance(one, Mapping) else None


def _failed(reason: str) -> Response:
    return Response(status="error", error=reason)
