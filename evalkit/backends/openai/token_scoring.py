"""Log-likelihoods from a vLLM server, which takes token ids and reads its prefix cache.

Its echo, like every request for ``prompt_logprobs``, reads the whole prompt anew. So the log-probability of each token
is asked for behind the tokens before it instead: prompts of token ids, one token generated, and the values of named
tokens (``logprob_token_ids``). All positions of all continuations of a context are prompts of one request, and the
context is read once. Where that would read more than the prompts themselves (long continuations of short contexts,
whole texts), ``prompt_logprobs`` it is.

Token ids come from the server's /tokenize, or from a tokenizer that is at hand here and gives the same ids; they are
cut by the same rule as with a local model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evalkit.backends.openai.http import Client, Timed
from evalkit.backends.openai.replies import Unusable, count, loglikelihood
from evalkit.backends.openai.usage import cached
from evalkit.backends.vllm import contexts
from evalkit.backends.vllm.contexts import Known, Value
from evalkit.contract.backend import LoglikelihoodResult, LoglikelihoodRow
from evalkit.contract.types import Message, Response, Rolling, Score
from evalkit.engine.encode import Overlength, rolling_windows
from evalkit.perf.meter import Exchange, Meter

BLOCK = 16
"""Tokens that vLLM keeps together in its cache, by default: half of them, on the average, are read again."""
MOST_PROMPTS = 64
"""Prompts of one request."""
REMEMBERED = 1000
"""Contexts whose token ids are kept."""
NAMED = "token_id:"
"""How vLLM writes a token's id in place of its text."""


@dataclass(frozen=True)
class TokenIds:
    """vLLM's server, asked in token ids. ``here``: the same tokenizer in this process, ``here(text, special)``."""

    client: Client
    model: str
    window: int | None
    overlength: Overlength
    meter: Meter
    here: Callable[[str, bool], list[int]] | None = None
    prefix: int | None = None
    """What stands before an empty context; None: the token that the server puts before every text."""
    name: str = "tokens"
    together: bool = True
    heads: dict[Any, list[int]] = field(default_factory=dict, compare=False)

    async def score(self, request: Score) -> Response:
        """Log-likelihood of the continuation's tokens."""
        return (await self.score_all([request]))[0]

    async def score_all(self, requests: Sequence[Score]) -> list[Response]:
        """`score` of requests that share a context."""
        responses: list[Response | None] = []
        rows: list[LoglikelihoodRow] = []
        cut: list[int] = []
        for request in requests:
            try:
                head, tail = await self._tokens(request)
                made = self._fitted(head, tail)
            except Unusable as error:
                made = Response(status="error", error=str(error))
            if isinstance(made, Response):
                responses.append(made)
                continue
            responses.append(None)
            rows.append(made[0])
            cut.append(made[1])
        answers = iter(zip(rows, cut, await self._answers(rows), strict=True))
        return [one if one is not None else _response(*next(answers)) for one in responses]

    async def rolling(self, request: Rolling) -> Response:
        """Log-likelihood of a whole text in disjoint windows."""
        try:
            tokens = await self._encode(request.text, False)
            if not tokens or self.window is None:
                raise Unusable("the text has no tokens" if not tokens else "the server's window is not known")
            rows = rolling_windows(tokens, await self._prefix(), self._longest - 1)
            answers = await self._answers(rows)
        except Unusable as error:
            return Response(status="error", error=str(error))
        failed = next((one for one in answers if isinstance(one, Exception)), None)
        if failed is not None:
            return Response(status="error", error=str(failed))
        found = [one for one in answers if isinstance(one, LoglikelihoodResult)]
        return Response(
            loglikelihood=sum(one.loglikelihood for one in found),
            is_greedy=all(one.is_greedy for one in found),
            prompt_tokens=len(tokens),
            output_tokens=len(tokens),
        )

    @property
    def _longest(self) -> int:
        """Tokens of the longest row: vLLM counts the token that it must generate."""
        return (self.window or 1 << 30) - 1

    def _fitted(self, context: list[int], continuation: list[int]) -> tuple[LoglikelihoodRow, int] | Response:
        """The row within the window and how many tokens it lost, or why it cannot be asked."""
        if not continuation:
            raise Unusable("the continuation has no tokens of its own")
        if len(continuation) >= self._longest:
            raise Unusable(f"the continuation has {len(continuation)} tokens, the server's window {self.window}")
        excess = max(0, len(context) + len(continuation) - self._longest)
        if excess and self.overlength != "truncate":
            reason = f"{len(context) + len(continuation)} tokens do not fit the server's window of {self.window}"
            status: Any = "unscored" if self.overlength == "skip" else "error"
            return Response(status=status, error=reason, prompt_tokens=len(context), truncated=excess)
        tokens = np.array(context[excess:] + continuation, dtype=np.int32)
        return LoglikelihoodRow(tokens, len(context) - excess), excess

    async def _answers(self, rows: Sequence[LoglikelihoodRow]) -> list[LoglikelihoodResult | Exception]:
        found: dict[int, LoglikelihoodResult | Exception] = {}
        for group in contexts.grouped(rows):
            known = Known()
            prompts, targets = _prompts(group, rows)
            stepwise = sum(BLOCK + len(prompt) - len(group.context) for prompt in prompts[1:])
            whole = sum(len(rows[index].tokens) for index in group.rows)
            try:
                if len(prompts) == 1 or stepwise < whole:
                    await self._ask_positions(group, rows, prompts, targets, known)
                else:
                    await self._ask_prompts(group, rows, known)
            except Unusable as error:
                found |= dict.fromkeys(group.rows, error)
                continue
            for index, answer in contexts.results(group, rows, known):
                found[index] = answer or Unusable("the server left out log-probabilities")
        return [found[index] for index in range(len(rows))]

    async def _ask_positions(
        self,
        group: contexts.Group,
        rows: Sequence[LoglikelihoodRow],
        prompts: Sequence[tuple[int, ...]],
        targets: Sequence[int],
        known: Known,
    ) -> None:
        """The values of ``targets`` behind each of ``prompts``, the first of which is the context."""
        found: dict[tuple[int, ...], dict[int, Value]] = {prompt: {} for prompt in prompts}
        first = True
        for begin in range(0, len(targets), contexts.MOST_TOKENS):
            names = list(targets[begin : begin + contexts.MOST_TOKENS])
            for start in range(0, len(prompts), MOST_PROMPTS):
                some = prompts[start : start + MOST_PROMPTS]
                timed = await self._post(some, logprobs=1, logprob_token_ids=names, return_tokens_as_token_ids=True)
                for prompt, choice in zip(some, _choices(timed.reply, len(some)), strict=True):
                    found[prompt] |= contexts.chosen(_entry(choice), names)
                given = sum(len(rows[index].tokens) for index in group.rows) if first else 0
                read = sum(map(len, some)) if len(some) == 1 else None
                self._measure(timed, given, read)
                first = False
        for index in group.rows:
            tokens, start = tuple(rows[index].tokens.tolist()), rows[index].start
            values = {at: found[tokens[:at]].get(tokens[at]) for at in range(start, len(tokens))}
            known.rows[index] = {at: value for at, value in values.items() if value is not None}

    async def _ask_prompts(self, group: contexts.Group, rows: Sequence[LoglikelihoodRow], known: Known) -> None:
        """Every row by itself: the server reads it all."""
        for index in group.rows:
            tokens = rows[index].tokens.tolist()
            timed = await self._post([tuple(tokens)], prompt_logprobs=1)
            report = _choices(timed.reply, 1)[0].get("prompt_logprobs")
            if not isinstance(report, list) or len(report) != len(tokens):
                raise Unusable("no log-probabilities of the prompt came back")
            behind = [_by_id(entry) for entry in report[rows[index].start :]]
            known.rows[index] = contexts.read_positions(behind, tokens, rows[index].start, 0)
            self._measure(timed, len(tokens), len(tokens))

    async def _post(self, prompts: Sequence[Sequence[int]], **asked: Any) -> Timed:
        body = {
            "model": self.model,
            "prompt": [list(prompt) for prompt in prompts],
            "max_tokens": 1,
            "temperature": 0,
            **asked,
        }
        return await self.client.post_timed("/completions", body)

    def _measure(self, timed: Timed, given: int, read: int | None) -> None:
        """``given``: tokens of the rows that the request answers; ``read``: those of its one prompt, of which the
        server says how many were cached.
        """
        held = cached(timed.reply) if read is not None else None
        known = None if held is None or read is None else max(0, given - (read - held))
        self.meter.exchange(Exchange(given, cached=known, scored=True, seconds=timed.seconds))

    # -- token ids ----------------------------------------------------------------------------------------------------

    async def _tokens(self, request: Score) -> tuple[list[int], list[int]]:
        """Token ids of context and continuation."""
        special = request.messages is None  # a template writes its own
        text = request.context if request.messages is None else await self._templated(request.messages)
        context = text.rstrip()
        key = (context, special)
        if key not in self.heads:
            if len(self.heads) >= REMEMBERED:
                self.heads.clear()
            self.heads[key] = await self._encode(context, special) if context else []
        head = self.heads[key]
        if not head:
            prefix = await self._prefix()
            whole = await self._encode(text + request.continuation, False)
            return [prefix], whole[1:] if whole[:1] == [prefix] else whole
        whole = await self._encode(text + request.continuation, special)
        return head, whole[len(head) :]

    async def _encode(self, text: str, special: bool) -> list[int]:
        if self.here is not None:
            return self.here(text, special)
        return await self.tokenized({"prompt": text, "add_special_tokens": special})

    async def tokenized(self, asked: Mapping[str, Any]) -> list[int]:
        """What the server's /tokenize makes of a text or a conversation."""
        reply = await self.client.post("/tokenize", {"model": self.model, **asked}, root=True)
        tokens = reply.get("tokens") if isinstance(reply, Mapping) else None
        if not isinstance(tokens, list) or not all(
            isinstance(one, int) and not isinstance(one, bool) and 0 <= one < 1 << 31 for one in tokens
        ):
            raise Unusable("the server's /tokenize gives no token ids")
        return tokens

    async def _prefix(self) -> int:
        """What stands before an empty context."""
        if self.prefix is not None:
            return self.prefix
        before = await self.tokenized({"prompt": "", "add_special_tokens": True})
        if len(before) != 1:
            raise Unusable(
                "the server names no token to stand before an empty context: name its tokenizer by tokenizer= in "
                "--model_args"
            )
        return before[0]

    async def _templated(self, messages: Sequence[Message]) -> str:
        key = tuple((one.role, one.content) for one in messages)
        if key not in self.heads:
            turns = [{"role": role, "content": content} for role, content in key]
            self.heads[key] = await self.tokenized({"messages": turns, "add_generation_prompt": True})
        reply = await self.client.post("/detokenize", {"model": self.model, "tokens": self.heads[key]}, root=True)
        prompt = reply.get("prompt") if isinstance(reply, Mapping) else None
        if not isinstance(prompt, str):
            raise Unusable("the server's /detokenize gives no text")
        return prompt


def _prompts(group: contexts.Group, rows: Sequence[LoglikelihoodRow]) -> tuple[list[tuple[int, ...]], list[int]]:
    """What stands before each scored token, the context first, and the scored tokens, each once."""
    prompts, targets = {tuple(group.context): None}, set()
    for index in group.rows:
        tokens = tuple(rows[index].tokens.tolist())
        for at in range(rows[index].start, len(tokens)):
            prompts.setdefault(tokens[:at])
            targets.add(tokens[at])
    return list(prompts), sorted(targets)


def _choices(reply: Any, wanted: int) -> list[Mapping[str, Any]]:
    """The choices of a reply by their index, one a prompt. Raises Unusable."""
    choices = reply.get("choices") if isinstance(reply, Mapping) else None
    if not isinstance(choices, list) or not all(isinstance(one, Mapping) for one in choices):
        raise Unusable("the server's reply has no choices")
    by_index = {count(one, "index"): one for one in choices}
    if sorted(index for index in by_index if index is not None) != list(range(wanted)):
        raise Unusable(f"the server's reply has not one choice for each of {wanted} prompts")
    return [by_index[index] for index in range(wanted)]


def _entry(choice: Mapping[str, Any]) -> dict[int, float]:
    """Log-probabilities at the one generated token: those asked for, and the likeliest. Raises Unusable."""
    report = choice.get("logprobs")
    tops = report.get("top_logprobs") if isinstance(report, Mapping) else None
    top = tops[0] if isinstance(tops, list) and tops else None
    if not isinstance(top, Mapping):
        raise Unusable("no log-probabilities of the named tokens came back")
    return {
        int(name.removeprefix(NAMED)): loglikelihood(value)
        for name, value in top.items()
        if name.startswith(NAMED) and name.removeprefix(NAMED).isdigit()
    }


def _by_id(entry: Any) -> dict[int, float]:
    """One position of ``prompt_logprobs``. Raises Unusable."""
    if not isinstance(entry, Mapping):
        raise Unusable("a log-probability is missing")
    return {
        int(name): loglikelihood(one.get("logprob") if isinstance(one, Mapping) else None)
        for name, one in entry.items()
        if name.isdigit()
    }


def _response(row: LoglikelihoodRow, cut: int, answer: LoglikelihoodResult | Exception) -> Response:
    if isinstance(answer, Exception):
        return Response(status="error", error=str(answer))
    return Response(
        loglikelihood=answer.loglikelihood,
        is_greedy=answer.is_greedy,
        prompt_tokens=row.start,
        output_tokens=len(row.tokens) - row.start,
        truncated=cut,
    )
