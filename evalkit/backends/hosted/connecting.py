"""From a provider's model to a backend: which models the account may ask, the window, and the API that fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from evalkit.backends.chat_template import prompting_identity
from evalkit.backends.hosted import CAPABILITIES
from evalkit.backends.hosted.anthropic import AnthropicWire
from evalkit.backends.hosted.batches import BatchClient
from evalkit.backends.hosted.bedrock import BedrockWire
from evalkit.backends.hosted.gemini import GeminiWire
from evalkit.backends.hosted.ollama import LARGEST_WINDOW, OllamaWire
from evalkit.backends.hosted.providers import Protocol
from evalkit.backends.hosted.responses import ONLY, ResponsesWire
from evalkit.backends.hosted.settings import Hosted, hosted
from evalkit.backends.openai.backend import NOT_KNOWN, ServerBackend, priced
from evalkit.backends.openai.background import Background
from evalkit.backends.openai.http import Client, RequestFailed
from evalkit.backends.openai.replies import counted
from evalkit.backends.openai.wire import OpenAIWire, Wire
from evalkit.backends.pricing import known
from evalkit.contract.errors import UserError
from evalkit.contract.registry import did_you_mean
from evalkit.contract.types import ModelInfo
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.store.identity import digest

PATIENCE_S = 5.0
"""Seconds for the question which models there are, before data sets are read; who is slower is asked later."""

_LISTS: Mapping[Protocol, tuple[str, str, str]] = {
    "openai": ("/models", "data", "id"),
    "anthropic": ("/models?limit=1000", "data", "id"),
    "gemini": ("/models?pageSize=1000", "models", "name"),
    "ollama": ("/api/tags", "models", "name"),
}
"""Where a protocol lists models: path, key of the list, key of a name."""


def find(model: ModelSpec) -> None:
    """UserError for a model that the provider lists others without, for a key that it refuses, and where nobody can be
    reached. Silent where the provider is slow or busy.
    """
    asked = hosted(model)
    try:
        _listed(asked, PATIENCE_S)
    except RequestFailed as error:
        if asked.provider.own or not (error.status or error.late):
            raise _unreachable(asked, error) from None


def connect(model: ModelSpec, engine: EngineSpec) -> ServerBackend:
    """A backend for the provider's model. Raises UserError where it cannot be asked."""
    asked = hosted(model)
    client, background = _client(asked), Background()
    try:
        listed = _listed(asked, asked.chosen.timeout)
        known_here = asked.listed()
        window = model.max_length or _window(listed) or (known_here.window if known_here is not None else None)
        if asked.provider.protocol == "ollama" and model.max_length is None:
            window = min(background.run(_ollama_window(client, asked.model)) or LARGEST_WINDOW, LARGEST_WINDOW)
    except RequestFailed as error:
        background.close(client.close())
        raise _unreachable(asked, error) from None
    except BaseException:
        background.close(client.close())
        raise
    price = asked.terms(model)[0]
    api = _api(asked)
    url = asked.chosen.base_url
    info = ModelInfo(
        name=model.label or asked.name,
        backend="hosted",
        fingerprint=digest(
            {
                "hosted": asked.provider.name,
                "server": url,
                "model": asked.model,
                "api": api,
                "max_length": window if asked.provider.protocol == "ollama" else None,
                "overlength": engine.overlength,
                **prompting_identity(model),
            }
        ),
        max_length=window or NOT_KNOWN,
        device="server",
        details={
            "provider": asked.provider.name,
            "url": url,
            "model": asked.model,
            "api": api,
            "plain_prompts": "sent as one turn of the user",
            **priced(price),
        },
    )
    chosen = asked.chosen.model_copy(update={"stream": False}) if asked.chosen.batch else asked.chosen
    backend = ServerBackend(
        client, background, chosen, asked.model, info, engine, None, model, _wire(asked, api, window), price
    )
    backend.capabilities = CAPABILITIES
    if isinstance(client, BatchClient):
        client.stopped = backend.stopped
    return backend


def _client(asked: Hosted) -> Client:
    if not asked.chosen.batch:
        return Client(asked.chosen, asked.credentials())
    protocol: Literal["openai", "anthropic"] = "anthropic" if asked.provider.protocol == "anthropic" else "openai"
    return BatchClient(asked.chosen, asked.credentials(), protocol, asked.chosen.batch_poll)


def _api(asked: Hosted) -> str:
    """The API's name: the provider's protocol, and which of OpenAI's."""
    if asked.provider.protocol != "openai":
        return asked.provider.protocol
    only = asked.provider.name in ("openai", "azure") and ONLY.match(asked.model)
    return asked.chosen.api or ("responses" if only else "chat")


def _wire(asked: Hosted, api: str, window: int | None) -> Wire:
    if api == "anthropic":
        return AnthropicWire()
    if api == "gemini":
        return GeminiWire()
    if api == "ollama":
        return OllamaWire(window)
    if api == "bedrock":
        return BedrockWire()
    if api == "responses":
        return ResponsesWire()
    provider = asked.provider
    return OpenAIWire(True, provider.seed, provider.counts_unasked, provider.length)


def _unreachable(asked: Hosted, error: RequestFailed) -> UserError:
    advice = "is it running?" if asked.provider.own else "look at the network, or at the provider's status page"
    return UserError(f"{asked.name}: {asked.chosen.base_url}: {error}: {advice}")


def _listed(asked: Hosted, timeout: float) -> Mapping[str, Any] | None:
    """The provider's entry of the model; None where it has no list, or an alias may stand for the model. UserError for
    a model that is not there.
    """
    if not asked.provider.lists:
        return None
    entries = _entries(asked, timeout)
    names = {name.removeprefix("models/"): entry for name, entry in entries}
    if not names:
        return None
    for name in (asked.model, f"{asked.model}:latest"):
        if name in names:
            return names[name]
    # Aliases (gpt-4o for gpt-4o-2024-08-06, claude-sonnet-4-5) need not be listed, and fine-tuned models seldom are.
    if any(name.startswith(asked.model) for name in names) or asked.model.startswith(("ft:", "accounts/")):
        return None
    if asked.model in known(asked.provider.prices):
        return None
    hint = did_you_mean(asked.model, names, most=8)
    raise UserError(
        f"{asked.name}: {asked.provider.title} lists no such model for this "
        f"{'server' if asked.provider.own else 'key'}"
        f"{hint or '; ' + str(len(names)) + ' others, such as ' + ', '.join(sorted(names)[:3])}"
        f"{': fetch it with: ollama pull ' + asked.model if asked.provider.name == 'ollama' and not hint else ''}"
    )


def _entries(asked: Hosted, timeout: float) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """(name, entry) of all models that the provider lists."""
    path, key, name = _LISTS[asked.provider.protocol]
    patient = asked.chosen.model_copy(
        update={"timeout": timeout, **({"max_retries": 0} if timeout == PATIENCE_S else {})}
    )
    client, background = Client(patient, asked.credentials()), Background()
    try:
        reply = background.run(client.get(path))
    except RequestFailed as error:
        if error.status in (404, 405, 501):
            return ()
        raise
    finally:
        background.close(client.close())
    found = reply.get(key) if isinstance(reply, Mapping) else reply  # Together's list has nothing around it
    entries = [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []
    return [(one[name], one) for one in entries if isinstance(one.get(name), str)]


def _window(entry: Mapping[str, Any] | None) -> int | None:
    """The window as the provider's list tells it."""
    names = ("inputTokenLimit", "context_length", "context_window", "max_context_length", "max_model_len")
    return next((found for name in names if entry and (found := counted(entry.get(name)))), None)


async def _ollama_window(client: Client, model: str) -> int | None:
    """The longest window that the model has."""
    reply = await client.post("/api/show", {"model": model})
    info = reply.get("model_info") if isinstance(reply, Mapping) else None
    told = info if isinstance(info, Mapping) else {}
    return next((counted(value) for name, value in told.items() if str(name).endswith(".context_length")), None)
