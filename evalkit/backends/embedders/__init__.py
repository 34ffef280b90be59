"""Embedders: ``wordllama``, ``embed:MODEL`` (transformers), ``st:MODEL`` (sentence-transformers), ``embeddings:URL`` (a
server of the OpenAI API). See docs/embeddings.md.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from evalkit.contract.capabilities import BackendType, Capabilities, KnownModel
from evalkit.contract.errors import MissingExtra

if TYPE_CHECKING:
    from evalkit.backends.embedders.backend import EmbedderBackend
    from evalkit.spec.models import EngineSpec, ModelSpec

CAPABILITIES = Capabilities(answers=frozenset(("embed",)), counts_tokens=True, architecture="embedder")
"""As `evalkit.contract.embedding.EMBEDDER`, without numpy."""
WORDLLAMA = KnownModel(
    "wordllama",
    "WordLlama l2_supercat (static token embeddings, 256 dimensions) from the package wordllama",
    package="wordllama",
    file="weights/l2_supercat_256.safetensors",
    extra="embedding",
)


def _load(module: str, needs: tuple[str, ...], extra: str, model: ModelSpec, engine: EngineSpec) -> EmbedderBackend:
    for package in needs:
        try:
            import_module(package)
        except ImportError as error:
            raise MissingExtra(f"the model {model.name}", error.name or package, extra) from error
    from evalkit.backends.embedders import backend

    return backend.opened(module, model, engine)


def _type(name: str, needs: tuple[str, ...], extra: str, **more: Any) -> BackendType:
    module = name.replace("-", "_")
    load = partial(_load, module, needs, extra)
    return BackendType(name, load, needs=needs, extra=extra, capabilities=CAPABILITIES, replicas=False, **more)


wordllama = _type("wordllama", ("wordllama",), "embedding", settings=frozenset(), models=(WORDLLAMA,))
pooled = _type(
    "pooled",
    ("torch", "transformers"),
    "hf",
    settings=frozenset(("dtype", "device", "revision", "max_length", "allow_missing_weights")),
    prefixes=("embed:",),
)
sentence = _type(
    "sentence-transformers",
    ("sentence_transformers",),
    "embedding",
    settings=frozenset(("dtype", "device", "revision", "max_length")),
    prefixes=("st:",),
)
served = _type(
    "embeddings", ("aiohttp", "tenacity"), "openai", settings=frozenset(("max_length",)), prefixes=("embeddings:",)
)
