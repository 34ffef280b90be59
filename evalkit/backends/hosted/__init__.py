"""Models of providers by name: ``--model openai/gpt-4o-mini``, ``anthropic/...``, ``gemini/...``, ``ollama/...``.

They write text and tell no log-probabilities of prompts. See docs/hosted.md.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.backends.hosted.providers import intended, provider_of, rows
from evalkit.backends.hosted.settings import hosted
from evalkit.backends.lm_eval_arguments import of_server
from evalkit.contract.capabilities import PAID_SETTINGS, BackendType, Capabilities, Quote
from evalkit.contract.errors import MissingExtra

if TYPE_CHECKING:
    from evalkit.backends.openai.backend import ServerBackend
    from evalkit.spec.models import EngineSpec, ModelSpec

NEEDS = ("aiohttp", "tenacity")
CAPABILITIES = Capabilities(
    answers=frozenset(("generate",)),
    counts_tokens=True,
    stops_between_passes=True,
    modalities=frozenset(("text", "image")),
)


def _claims(name: str) -> bool:
    return (provider_of(name) is not None or intended(name) is not None) and not Path(name).is_dir()


def _check(model: ModelSpec) -> None:
    asked = hosted(model)
    if missing := next((name for name in NEEDS if find_spec(name) is None), None):
        raise MissingExtra(f"the hosted model {asked.name}", missing, "hosted")
    asked.credentials()
    if model.price or model.max_cost is not None:
        asked.terms(model)


def _find(model: ModelSpec) -> None:
    from evalkit.backends.hosted.connecting import find

    find(model)


def _quote(model: ModelSpec) -> Quote | None:
    return hosted(model).terms(model)[1]


def load(model: ModelSpec, engine: EngineSpec) -> ServerBackend:
    """Connect to the provider. Raises UserError where that fails."""
    from evalkit.backends.hosted.connecting import connect

    return connect(model, engine)


kind = BackendType(
    "hosted",
    load,
    settings=PAID_SETTINGS | {"max_length", "think_start", "think_end"},
    claims=_claims,
    needs=NEEDS,
    capabilities=CAPABILITIES,
    check=_check,
    find=_find,
    quote=_quote,
    providers=rows,
    replicas=False,
    translate=of_server,
)
