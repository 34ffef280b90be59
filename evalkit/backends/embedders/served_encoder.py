"""Servers with the OpenAI API's ``/embeddings``: the hosted ones, vLLM, llama.cpp, text-embeddings-inference."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np

from evalkit.backends.embedders.backend import Opened, Prompts, Read, plain_name
from evalkit.backends.openai.background import Background
from evalkit.backends.openai.http import Client, RequestFailed
from evalkit.backends.openai.replies import counted
from evalkit.backends.openai.settings import Settings, settings
from evalkit.contract.embedding import Role
from evalkit.contract.errors import UserError
from evalkit.contract.types import ModelInfo
from evalkit.perf.meter import Exchange, Meter
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.store.identity import digest

TOGETHER = 64
"""Texts of one request where nothing else is asked."""


class Arguments(Settings, Prompts):
    """What ``--model_args`` may hold: a server's settings, and instructions before texts."""

    dimensions: int | None = None
    """So many dimensions, of models that can be cut."""


class Served:
    """See `Encoder`."""

    def __init__(self, client: Client, background: Background, chosen: Arguments, model: str, rows: int) -> None:
        self.prompts: Prompts = chosen
        self._client = client
        self._background = background
        self._body = {"model": model, "encoding_format": "float"}
        if chosen.dimensions is not None:
            self._body["dimensions"] = chosen.dimensions  # type: ignore[assignment]
        self._rows = rows

    def read(self, texts: Sequence[str], role: Role, meter: Meter) -> Read:
        """Vectors of the texts, as many requests under way as the server bears. RequestFailed where one fails."""
        parts = [list(texts[begin : begin + self._rows]) for begin in range(0, len(texts), self._rows)]

        async def every() -> list[np.ndarray]:
            return list(await asyncio.gather(*(self._ask(part, meter) for part in parts)))

        return Read(np.concatenate(self._background.run(every())))

    async def _ask(self, texts: list[str], meter: Meter) -> np.ndarray:
        timed = await self._client.post_timed("/embeddings", {**self._body, "input": texts})
        usage = timed.reply.get("usage") if isinstance(timed.reply, dict) else None
        given = counted(usage.get("prompt_tokens")) if isinstance(usage, dict) else None
        meter.exchange(Exchange(given=given, scored=True, seconds=timed.seconds))
        return _vectors(timed.reply, len(texts))

    def close(self) -> None:
        """Close the connections."""
        self._background.close(self._client.close())


def _vectors(reply: Any, count: int) -> np.ndarray:
    """The vectors of a reply in the order of the texts. RequestFailed for a reply that holds others."""
    rows = reply.get("data") if isinstance(reply, dict) else None
    try:
        found = {int(row["index"]): np.asarray(row["embedding"], dtype=np.float32) for row in rows or ()}
        vectors = np.stack([found[place] for place in range(count)])
    except (KeyError, TypeError, ValueError, OverflowError):
        raise RequestFailed(f"the server's reply does not hold {count} vectors of one length") from None
    if vectors.ndim != 2 or not vectors.shape[1]:
        raise RequestFailed("the server's vectors are empty")
    return vectors


def load(model: ModelSpec, engine: EngineSpec) -> Opened:
    """A server that answers. UserError for one that does not, or that has no such model."""
    chosen = settings(model.model_copy(update={"name": plain_name(model)}), Arguments)
    if chosen.model is None:
        raise UserError(f"--model {model.name}: which of the server's models? Give --model_args model=NAME")
    client, background = Client(chosen), Background()
    rows = engine.batch_size if isinstance(engine.batch_size, int) else TOGETHER
    encoder = Served(client, background, chosen, chosen.model, rows)
    try:
        size = encoder.read(["a"], "", Meter()).vectors.shape[1]
    except RequestFailed as error:
        encoder.close()
        raise UserError(f"{chosen.base_url}: {error}: does that server have /embeddings, and the model?") from None
    except BaseException:
        encoder.close()
        raise
    prompts = chosen.model_dump(mode="json", include=set(Prompts.model_fields))
    info = ModelInfo(
        name=model.label or chosen.model,
        backend="embeddings",
        fingerprint=digest(
            {"server": chosen.base_url, "model": chosen.model, "dimensions": size, "embeddings": 1, **prompts}
        ),
        max_length=model.max_length or 1 << 30,
        device="server",
        details={"url": chosen.base_url, "model": chosen.model, "dimensions": size},
    )
    return Opened(encoder, info)
