"""The backend around every embedder: texts embedded once, in batches, and requests computed from their vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal, Protocol

import numpy as np

from evalkit.contract.embedding import EMBEDDER, Collection, Role, Vectors
from evalkit.contract.errors import UserError
from evalkit.contract.types import Embed, ModelInfo, Request, Response
from evalkit.perf.meter import Meter
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.spec.strict import Strict

AHEAD = 4096
"""Requests whose texts are embedded together before the first of them is computed."""
KEPT = 2
"""Collections whose vectors are kept."""


class Prompts(Strict):
    """Instructions before texts, which many models were trained with: ``--model_args query_prefix="query: "``."""

    prefix: str = ""
    """Before texts that are compared with their like."""
    query_prefix: str | None = None
    passage_prefix: str | None = None

    def before(self, role: Role) -> str:
        """What stands before a text; queries and passages without a prefix of their own have that of all texts."""
        own = {"query": self.query_prefix, "passage": self.passage_prefix}.get(role)
        return self.prefix if own is None else own


@dataclass(frozen=True)
class Read:
    """Vectors of some texts, float32 [texts, dimensions], with each text's tokens, and how many were cut off."""

    vectors: Vectors
    tokens: Sequence[int] = field(default=())
    cut: Sequence[int] = field(default=())


class Encoder(Protocol):
    """A model that makes vectors. ``prompts`` are put before its texts by the backend."""

    prompts: Prompts

    def read(self, texts: Sequence[str], role: Role, meter: Meter) -> Read:
        """Vectors of the texts, instructions included. UserError where none can ever be had; any other exception fails
        the requests that wanted these texts.
        """
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Opened:
    """A loaded encoder, and what a run records of it."""

    encoder: Encoder
    info: ModelInfo


class EmbedderBackend:
    """An `evalkit.contract.backend.TextBackend` that answers `Embed` requests, and an `Embedder`."""

    def __init__(self, opened: Opened, engine: EngineSpec) -> None:
        self.info = opened.info
        self.capabilities = EMBEDDER
        self.meter = Meter()
        self._encoder = opened.encoder
        self._known: dict[tuple[Role, str], tuple[Vectors, int, int]] = {}
        self._collections: dict[str, Vectors] = {}
        self._overlength: Literal["truncate", "skip", "error"] = engine.overlength

    def respond(self, requests: Sequence[Request]) -> Iterator[tuple[int, Response]]:
        """(index, response) of every request; see `TextBackend.respond`."""
        for begin in range(0, len(requests), AHEAD):
            part = list(enumerate(requests[begin : begin + AHEAD], begin))
            self._known = {}
            failure = self._prepare([one for _, one in part])
            for index, request in part:
                yield index, self._answer(request, failure)
        self._known = {}

    def embed(self, texts: Sequence[str], role: Role = "") -> Vectors:
        """See `Embedder`."""
        missing = [text for text in dict.fromkeys(texts) if (role, text) not in self._known]
        if not missing:
            return np.stack([self._known[role, text][0] for text in texts])
        found = dict(zip(missing, self._read(missing, role), strict=True))
        return np.stack([(found.get(text) or self._known[role, text])[0] for text in texts])

    def collection(self, texts: Collection) -> Vectors:
        """See `Embedder`."""
        key = f"{texts.role}:{texts.digest}"
        if key not in self._collections:
            while len(self._collections) >= KEPT:
                del self._collections[next(iter(self._collections))]
            self._collections[key] = self.embed(texts.texts, texts.role)
        return self._collections[key]

    def close(self) -> None:
        """Free the model's memory, or close its connections."""
        self._encoder.close()

    def _prepare(self, requests: Sequence[Request]) -> Exception | None:
        wanted: dict[Role, dict[str, None]] = {}
        for request in requests:
            if not isinstance(request, Embed):
                kind = type(request).__name__.lower()
                raise UserError(f"{self.info.name}: is an embedder, which gives vectors of texts: asked to {kind}")
            for text, role in request.ahead:
                wanted.setdefault(role, {})[text] = None
        try:
            for role, texts in wanted.items():
                read = self._read(list(texts), role)
                self._known |= {(role, text): one for text, one in zip(texts, read, strict=True)}
        except UserError:
            raise
        except Exception as error:
            return error
        return None

    def _answer(self, request: Request, failure: Exception | None) -> Response:
        assert isinstance(request, Embed)
        counted = [self._known[role, text] for text, role in request.ahead if (role, text) in self._known]
        tokens, cut = sum(one[1] for one in counted), sum(one[2] for one in counted)
        if len(counted) < len(request.ahead):
            return Response(status="error", error=str(failure) or type(failure).__name__)
        if cut and self._overlength != "truncate":
            status: Any = "unscored" if self._overlength == "skip" else "error"
            return Response(status=status, error=f"{cut} tokens of its texts do not fit the model's window")
        try:
            found = request.compute(self)
        except UserError:
            raise
        except Exception as error:
            return Response(status="error", error=f"{type(error).__name__}: {error}", prompt_tokens=tokens)
        return Response(
            status=found.status,
            text=found.text,
            values=found.values,
            error=found.error,
            prompt_tokens=tokens,
            truncated=cut,
        )

    def _read(self, texts: Sequence[str], role: Role) -> list[tuple[Vectors, int, int]]:
        before = self._encoder.prompts.before(role)
        read = self._encoder.read([before + text for text in texts], role, self.meter)
        if len(read.vectors) != len(texts):
            raise UserError(f"{self.info.name}: gave {len(read.vectors)} vectors for {len(texts)} texts")
        if not np.isfinite(read.vectors).all():
            raise ArithmeticError("a vector holds numbers that are not finite")
        none = [0] * len(texts)
        return list(zip(read.vectors, read.tokens or none, read.cut or none, strict=True))


def opened(module: str, model: ModelSpec, engine: EngineSpec) -> EmbedderBackend:
    """The backend over an encoder of this package. UserError for a model that cannot be loaded."""
    name = {"sentence_transformers": "sentence", "embeddings": "served"}.get(module, module)
    load = import_module(f"evalkit.backends.embedders.{name}_encoder").load
    return EmbedderBackend(load(model, engine), engine)


def plain_name(model: ModelSpec) -> str:
    """The model's name without the prefix that says how it is run."""
    for prefix in ("embeddings:", "embed:", "st:"):
        if model.name.startswith(prefix):
            return model.name.removeprefix(prefix)
    return model.name


def told(prompts: Prompts) -> Mapping[str, Any]:
    """What a record keeps of the arguments: those that are no default."""
    return prompts.model_dump(mode="json", exclude_defaults=True)
