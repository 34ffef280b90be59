"""Servers that speak the OpenAI API: ``--model http://host:port/v1`` (vLLM, llama.cpp, and those without
log-probabilities by ``--model_args mc=generate``). See docs/backends.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.backends.lm_eval_arguments import of_server
from evalkit.backends.openai.settings import settings, terms
from evalkit.contract.capabilities import CHAT_SETTINGS, PAID_SETTINGS, BackendType, Capabilities, Quote
from evalkit.contract.errors import MissingExtra

if TYPE_CHECKING:
    from evalkit.backends.openai.backend import ServerBackend
    from evalkit.spec.models import EngineSpec, ModelSpec


def load(model: ModelSpec, engine: EngineSpec) -> ServerBackend:
    """Connect to the server and return its backend. Raises UserError where that fails."""

    try:
        import aiohttp  # noqa: F401
        import tenacity  # noqa: F401
    except ImportError as error:
        raise MissingExtra("a model behind a server", error.name or "aiohttp", "openai") from error
    from evalkit.backends.openai.backend import connect

    return connect(model, engine)


CAPABILITIES = Capabilities(
    counts_tokens=True,
    stops_between_passes=True,
    modalities=frozenset(("text", "image")),
    answers_images=frozenset(("generate",)),
)


def _check(model: ModelSpec) -> None:
    chosen = settings(model)
    if model.price or model.max_cost is not None:
        terms(model, chosen, chosen.model)


def _quote(model: ModelSpec) -> Quote | None:
    chosen = settings(model)
    price, quote = terms(model, chosen, chosen.model)
    return None if price is None else quote


kind = BackendType(
    "openai",
    load,
    settings=CHAT_SETTINGS | PAID_SETTINGS | {"max_length"},
    prefixes=("http://", "https://"),
    needs=("aiohttp", "tenacity"),
    extra="openai",
    capabilities=CAPABILITIES,
    check=_check,
    quote=_quote,
    replicas=False,
    translate=of_server,
)
