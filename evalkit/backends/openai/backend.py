"""The backend object: whole requests in, responses out as they come, several under way at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from evalkit.backends.budget import Budget
from evalkit.backends.chat_template import prompting_identity, variables
from evalkit.backends.hf import load_tokens
from evalkit.backends.hf.tokens import Tokens
from evalkit.backends.openai import CAPABILITIES, scoring
from evalkit.backends.openai.adapting import Adaptation
from evalkit.backends.openai.background import Background, Put
from evalkit.backends.openai.generating import Generator, Terms
from evalkit.backends.openai.http import Client, RequestFailed
from evalkit.backends.openai.replies import counted
from evalkit.backends.openai.settings import Settings, settings, terms
from evalkit.backends.openai.token_scoring import TokenIds
from evalkit.backends.openai.wire import Wire
from evalkit.backends.pricing import Price
from evalkit.backends.thinking import marks_of
from evalkit.contract.backend import no_op
from evalkit.contract.errors import LimitReached, MissingExtra, UserError
from evalkit.contract.registry import nearest
from evalkit.contract.types import Classify, Embed, Generate, ModelInfo, Request, Response, Score, Usage
from evalkit.perf.meter import Meter
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.store.identity import digest

NOT_KNOWN = 1 << 30
"""Window in tokens where the server does not tell its own."""


class ServerBackend:
    """An `evalkit.contract.backend.TextBackend` over one server."""

    def __init__(
        self,
        client: Client,
        background: Background,
        chosen: Settings,
        model: str,
        info: ModelInfo,
        engine: EngineSpec,
        tokenizer: Tokens | None = None,
        asked: ModelSpec | None = None,
        wire: Wire | None = None,
        price: Price | None = None,
    ) -> None:
        """``wire``: the API's words, OpenAI's otherwise; ``price``: of a model that is paid by the token."""
        self.info = info
        self.capabilities = CAPABILITIES
        self.meter = Meter()
        self._client = client
        self._background = background
        self._settings = chosen
        self._model = model
        self._engine = engine
        self._tokenizer = tokenizer
        self._scorer: scoring.Scorer | None = None
        self._failures_in_a_row = 0
        self.after_pass: Callable[[], None] = no_op
        official = urlsplit(chosen.base_url).hostname == "api.openai.com"
        default = wire.lengths[0] if wire else "max_completion_tokens" if official else "max_tokens"
        adaptation = Adaptation(chosen.max_tokens_field, default, self._record)
        spec = asked or ModelSpec(name=model)
        self._budget = Budget(price, spec.max_cost)
        terms = Terms(price, "skip" if engine.overlength == "skip" else "error")
        tokens_of = None if tokenizer is None else lambda text: len(tokenizer.encode([text], False)[0])
        self._generator = Generator(
            client,
            model,
            adaptation,
            self.meter,
            chosen.stream and (wire is None or wire.can_stream),
            tokens_of,
            marks_of(spec),
            variables(spec),
            wire,
            terms,
        )

    def respond(self, requests: Sequence[Request]) -> Iterator[tuple[int, Response]]:
        """(index, response) of every request, as they come. Raises UserError once no request can succeed; what came
        before has been handed over by then. A user who stops the run waits for what is under way: it is paid for.
        """
        answered: Iterator[tuple[int, Response]] = self._background.stream(lambda put: self._work(requests, put))
        yield from answered
        self.after_pass()

    def paid_before(self, usd: float) -> None:
        """Answers of this run that are there already have cost so much."""
        self._budget.spent += usd

    def close(self) -> None:
        """Close the connections."""
        self._background.close(self._client.close())

    async def _work(self, requests: Sequence[Request], put: Put[tuple[int, Response]]) -> None:
        """Answer every request, as many at a time as the server bears. Once one fails for all, no more are begun; what
        is under way is paid for, so it is kept.
        """
        if any(not isinstance(request, Generate) for request in requests):
            self._budget.require_text()
            await self._find_scorer()
        ahead = iter(self._units(requests))
        workers: set[asyncio.Task[None]] = set()
        failed: list[UserError] = []

        async def work() -> None:
            for unit in ahead:
                if self.stopped():
                    return
                asked = [requests[i] for i in unit]
                try:
                    held = await self._budget.admit(asked)
                    responses: Sequence[Response] = ()
                    try:
                        responses = () if failed else await self._answer(asked)
                    finally:
                        await self._budget.settle(held, sum(one.usage.cost or 0.0 for one in responses if one.usage))
                    for index, response in zip(unit, responses, strict=False):
                        put((index, response))
                except UserError as error:
                    failed.append(error)
                if failed or len(workers) > self._client.concurrency.limit:
                    return
                hire()

        def hire() -> None:
            while not failed and len(workers) < min(self._client.concurrency.limit, len(requests)):
                worker = asyncio.create_task(work())
                workers.add(worker)
                worker.add_done_callback(workers.discard)

        hire()
        while workers:
            for done in (await asyncio.wait(workers))[0]:
                done.result()
        self._note(num_concurrent=self._client.concurrency.limit)
        if self._client.pace.refusals or self._client.pace.held_seconds:
            pace = self._client.pace
            self._note(rate_limited={"refusals": pace.refusals, "held_seconds": round(pace.held_seconds, 3)})
        if failed:
            raise next((one for one in failed if not isinstance(one, LimitReached)), failed[0])

    def stopped(self) -> bool:
        """Whether the user asked to stop; told in the main thread when what is under way has come."""
        try:
            self.after_pass()
        except KeyboardInterrupt:
            return True
        return False

    def _record(self, changes: Mapping[str, str]) -> None:
        self._note(adapted=dict(changes))

    def _note(self, **found: Any) -> None:
        """What was found out about the server, for the record."""
        self.info = replace(self.info, details={**self.info.details, **found})

    async def _find_scorer(self) -> None:
        if self._scorer is None:
            window = self.info.max_length if self.info.max_length < NOT_KNOWN else None
            self._scorer = await scoring.find(
                self._client,
                self._model,
                self._settings.scoring,
                window,
                self._engine.overlength,
                self.meter,
                self.info.details.get("owned_by") == "vllm",
                self._tokenizer,
            )
            self._note(scoring=self._scorer.name)

    def _units(self, requests: Sequence[Request]) -> Iterator[Sequence[int]]:
        """What is asked together, in order: neighbours that share a context, where the scorer takes them so."""
        unit: list[int] = []
        for index, request in enumerate(requests):
            if unit and not (isinstance(self._scorer, TokenIds) and _share(requests[unit[0]], request)):
                yield unit
                unit = []
            unit.append(index)
        if unit:
            yield unit

    async def _answer(self, requests: Sequence[Request]) -> Sequence[Response]:
        try:
            if isinstance(self._scorer, TokenIds) and isinstance(requests[0], Score):
                responses = await self._scorer.score_all([one for one in requests if isinstance(one, Score)])
            else:
                responses = [await self._ask(one) for one in requests]
        except RequestFailed as error:
            self._count_failure(error)
            return [Response(status="error", error=str(error))] * len(requests)
        self._failures_in_a_row = 0
        if self._budget.price is not None:  # what scoring costs is not told: said, not left out
            return [one if one.usage is not None else replace(one, usage=Usage()) for one in responses]
        return responses

    async def _ask(self, request: Request) -> Response:
        if isinstance(request, Generate):
            return await self._generator.generate(request)
        assert self._scorer is not None
        if isinstance(request, Classify | Embed):
            return Response(status="error", error="a language model behind a server gives no classes and no vectors")
        if isinstance(request, Score):
            return await self._scorer.score(request)
        return await self._scorer.rolling(request)

    def _count_failure(self, error: RequestFailed) -> None:
        """A server that has gone away is told once, not a thousand times with all retries."""
        self._failures_in_a_row = self._failures_in_a_row + 1 if error.retried else 0
        if self._failures_in_a_row >= max(3, self._client.concurrency.limit + 1):
            raise UserError(
                f"{self._client.url}: the server has stopped answering ({error}); what was answered is kept: "
                "run the same command with --resume when it is back"
            )


def connect(model: ModelSpec, engine: EngineSpec) -> ServerBackend:
    """A backend for a server that answers. Raises UserError for one that does not, or that lacks the model."""
    chosen = settings(model)
    tokenizer = _tokenizer(chosen.tokenizer) if chosen.tokenizer else None
    client, background = Client(chosen), Background()
    try:
        listed = background.run(_listed(client))
        name = _model_name(client, chosen.model, listed)
        meta = next((one for one in listed if one["id"] == name), {})
        window = model.max_length or background.run(_window(client, meta))
        price = terms(model, chosen, name)[0]
    except RequestFailed as error:
        background.close(client.close())
        raise UserError(f"{chosen.base_url}: {error}: is a server with the OpenAI API running there?") from None
    except BaseException:
        background.close(client.close())
        raise
    known = {key: meta[key] for key in ("root", "owned_by") if isinstance(meta.get(key), str)}
    inner = meta.get("meta")
    size: Mapping[str, Any] = inner if isinstance(inner, Mapping) else {}
    info = ModelInfo(
        name=model.label or name,
        backend="openai",
        fingerprint=digest(
            {
                "server": chosen.base_url,
                "model": name,
                "weights": [size.get(key) for key in ("n_params", "size", "n_vocab", "ftype")],
                "root": known.get("root"),
                "scoring": chosen.scoring,
                "max_length": window,
                "overlength": engine.overlength,
                **prompting_identity(model),
            }
        ),
        max_length=window or NOT_KNOWN,
        n_parameters=counted(size.get("n_params")),
        device="server",
        details={"url": chosen.base_url, "model": name, **known, **_told(model), **(priced(price))},
    )
    return ServerBackend(client, background, chosen, name, info, engine, tokenizer, model, price=price)


def priced(price: Price | None) -> dict[str, Any]:
    """What the record keeps of a price."""
    return {} if price is None else {"price": price.plain()}


def _told(model: ModelSpec) -> dict[str, Any]:
    """What the record keeps of the conversations that the server writes by a template of its own."""
    given = variables(model)
    return {"template_variables": given} if given else {}


def _share(one: Request, other: Request) -> bool:
    """Whether both are scored behind the same words."""
    scored = isinstance(one, Score) and isinstance(other, Score)
    return scored and (one.context, one.messages) == (other.context, other.messages)  # type: ignore[union-attr]


def _tokenizer(name: str) -> Tokens:
    """A tokenizer that is at hand here: a folder, a Hub id, a known name. Raises UserError."""

    try:
        return load_tokens(ModelSpec(name=name))
    except ImportError as error:
        raise MissingExtra("--model_args tokenizer", error.name or "transformers", "hf") from error


async def _listed(client: Client) -> list[Mapping[str, Any]]:
    """The models that the server lists; empty where it has no list."""
    try:
        reply = await client.get("/models")
    except RequestFailed as error:
        if error.status in (404, 405, 501):
            return []
        raise
    models = reply.get("data") if isinstance(reply, Mapping) else None
    if not isinstance(models, list):
        raise RequestFailed("its /models is no list of models")
    return [one for one in models if isinstance(one, Mapping) and isinstance(one.get("id"), str)]


def _model_name(client: Client, asked: str | None, listed: Sequence[Mapping[str, Any]]) -> str:
    names = [str(one["id"]) for one in listed]
    aliases = {str(alias) for one in listed for alias in _list(one.get("aliases"))}
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    if asked is None:
        if len(names) == 1:
            return names[0]
        has = f"lists {shown}" if names else "lists no models"
        raise UserError(f"{client.url}: the server {has}: say which with --model_args model=NAME")
    if names and asked not in names and asked not in aliases:
        close = nearest(asked, names)
        hint = f"did you mean {close}?" if close else f"it has {shown}"
        raise UserError(f"{client.url}: the server has no model {asked}: {hint}")
    return asked


async def _window(client: Client, meta: Mapping[str, Any]) -> int | None:
    """The context window in tokens as the server tells it: vLLM's max_model_len, llama.cpp's n_ctx of one slot."""
    inner = meta.get("meta")
    for value in (meta.get("max_model_len"), inner.get("n_ctx") if isinstance(inner, Mapping) else None):
        if window := counted(value):
            return window
    if meta.get("owned_by") != "llamacpp":
        return None
    try:
        props = await client.get("/props", root=True)
        value = props["default_generation_settings"]["n_ctx"]
    except (RequestFailed, KeyError, TypeError):
        return None
    return counted(value) or None


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
