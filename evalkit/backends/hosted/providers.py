"""The providers whose models go by PROVIDER/MODEL: where they are, what their key is called, which protocol they speak.

Facts from the providers' own documentation, looked up in November 2026. None of the addresses is reached in tests.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Protocol = Literal["openai", "anthropic", "gemini", "ollama", "bedrock"]

LOOKED_UP = "November 2026"


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider. ``address`` may hold "{region}"; empty: an environment variable says it (``address_env``)."""

    name: str
    title: str
    address: str
    keys: tuple[str, ...]
    """Environment variables that may hold the key, in order."""
    protocol: Protocol = "openai"
    prices: str = ""
    """What genai-prices calls it; empty: it has no prices there."""
    needs_key: bool = True
    address_env: tuple[str, ...] = ()
    """Environment variables with an address or a region of one's own."""
    lists: bool = True
    """Whether it lists the models that this account may ask."""
    hub: str = ""
    """Names that belong to the organisation of that name on the Hub: a pattern of how they begin."""
    header: str = "Authorization"
    """What carries the key."""
    seed: str = "seed"
    counts_unasked: bool = False
    """Streams tell their tokens without being asked, and refuse to be."""
    length: tuple[str, ...] = ("max_tokens", "max_completion_tokens")
    own: bool = False
    """It runs on a machine of the user's, who pays nobody for it."""


_OPENAI_ON_THE_HUB = (
    r"gpt-oss|whisper|clip|shap|imagegpt|jukebox|diffusers|consistency|privacy|circuit|point|monitor|guided"
)
_NEWEST = ("max_completion_tokens", "max_tokens")

_ALL = (
    Provider(
        "openai",
        "OpenAI",
        "https://api.openai.com/v1",
        ("OPENAI_API_KEY",),
        prices="openai",
        hub=_OPENAI_ON_THE_HUB,
        length=_NEWEST,
    ),
    Provider(
        "anthropic",
        "Anthropic",
        "https://api.anthropic.com/v1",
        ("ANTHROPIC_API_KEY",),
        "anthropic",
        prices="anthropic",
        header="x-api-key",
    ),
    Provider(
        "gemini",
        "Google Gemini",
        "https://generativelanguage.googleapis.com/v1beta",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        "gemini",
        prices="google",
        header="x-goog-api-key",
    ),
    Provider(
        "mistral",
        "Mistral",
        "https://api.mistral.ai/v1",
        ("MISTRAL_API_KEY",),
        prices="mistral",
        seed="random_seed",
        counts_unasked=True,
    ),
    Provider("groq", "Groq", "https://api.groq.com/openai/v1", ("GROQ_API_KEY",), prices="groq", length=_NEWEST),
    Provider("deepseek", "DeepSeek", "https://api.deepseek.com/v1", ("DEEPSEEK_API_KEY",), prices="deepseek"),
    Provider("openrouter", "OpenRouter", "https://openrouter.ai/api/v1", ("OPENROUTER_API_KEY",), prices="openrouter"),
    Provider("together", "Together AI", "https://api.together.xyz/v1", ("TOGETHER_API_KEY",), prices="together"),
    Provider(
        "fireworks",
        "Fireworks",
        "https://api.fireworks.ai/inference/v1",
        ("FIREWORKS_API_KEY",),
        prices="fireworks",
    ),
    Provider("xai", "xAI", "https://api.x.ai/v1", ("XAI_API_KEY",), prices="x-ai"),
    Provider(
        "cerebras",
        "Cerebras",
        "https://api.cerebras.ai/v1",
        ("CEREBRAS_API_KEY",),
        prices="cerebras",
        hub=r"\w*[A-Z]|.*-[A-Z]|btlm",
        length=_NEWEST,
    ),
    Provider("moonshot", "Moonshot", "https://api.moonshot.ai/v1", ("MOONSHOT_API_KEY",), prices="moonshotai"),
    Provider("cohere", "Cohere", "https://api.cohere.ai/compatibility/v1", ("COHERE_API_KEY",), prices="cohere"),
    Provider(
        "deepinfra",
        "DeepInfra",
        "https://api.deepinfra.com/v1/openai",
        ("DEEPINFRA_API_KEY", "DEEPINFRA_TOKEN"),
    ),
    Provider("sambanova", "SambaNova", "https://api.sambanova.ai/v1", ("SAMBANOVA_API_KEY",)),
    Provider(
        "azure",
        "Azure OpenAI",
        "",
        ("AZURE_OPENAI_API_KEY",),
        prices="azure",
        address_env=("AZURE_OPENAI_ENDPOINT",),
        lists=False,  # its list has what could be deployed, not what is
        header="api-key",
        length=_NEWEST,
    ),
    Provider(
        "bedrock",
        "Amazon Bedrock",
        "https://bedrock-runtime.{region}.amazonaws.com",
        ("AWS_BEARER_TOKEN_BEDROCK",),
        "bedrock",
        prices="aws",
        address_env=("AWS_REGION", "AWS_DEFAULT_REGION"),
        lists=False,
    ),
    Provider(
        "ollama",
        "Ollama",
        "http://localhost:11434",
        ("OLLAMA_API_KEY",),
        "ollama",
        needs_key=False,
        address_env=("OLLAMA_HOST",),
        own=True,
    ),
    Provider("lmstudio", "LM Studio", "http://localhost:1234/v1", ("LMSTUDIO_API_KEY",), needs_key=False, own=True),
)

PROVIDERS: Mapping[str, Provider] = {one.name: one for one in _ALL}

ALSO = {"google": "gemini"}
"""Other prefixes; those that are organisations on the Hub count only for the names of `_ALSO_NAMES`."""
_ALSO_NAMES = {"google": r"gemini-"}


def provider_of(name: str) -> tuple[Provider, str] | None:
    """The provider that a name like openai/gpt-4o-mini means, and its model; None for another name, among them those of
    models on the Hub (openai/gpt-oss-20b, google/gemma-3-1b-it).
    """
    prefix, _, model = name.partition("/")
    found = PROVIDERS.get(ALSO.get(prefix, prefix))
    if found is None or not model or (prefix in _ALSO_NAMES and not re.match(_ALSO_NAMES[prefix], model)):
        return None
    return None if found.hub and re.match(found.hub, model) else (found, model)


_FAMILIES = (
    (r"gpt-\d|chatgpt-|o\d(-|$)", "openai"),
    (r"claude-", "anthropic"),
    (r"gemini-\d", "gemini"),
    (r"grok-\d", "xai"),
    (r"(mistral-(large|medium|small)|codestral|ministral-\d+b|magistral-\w+)-(latest|\d{4}$)", "mistral"),
    (r"deepseek-(chat|reasoner)$", "deepseek"),
    (r"kimi-", "moonshot"),
)
"""How the names begin of models that only their makers serve."""


def intended(name: str) -> str | None:
    """What a name is likely meant for that lacks its provider, or has it misspelt; None: it is no such name."""
    prefix, slash, model = name.rpartition("/")
    maker = next((provider for family, provider in _FAMILIES if re.match(family, model)), None)
    if maker is None or "/" in prefix:
        return None
    if not slash:
        return f"{maker}/{model}"
    near = difflib.get_close_matches(prefix.lower(), [*PROVIDERS, *ALSO], n=1, cutoff=0.75)
    return f"{ALSO.get(near[0], near[0])}/{model}" if near else None


def rows() -> list[dict[str, str]]:
    """Rows for `evalkit models list`: each provider, the variable of its key, whether it is set (never what it holds),
    and where the provider is asked.
    """
    return [
        {
            "name": f"{one.name}/MODEL",
            "provider": one.title,
            "variable": " or ".join(one.keys),
            "key": "set" if any(os.environ.get(key) for key in one.keys) else "-" if one.own else "not set",
            "address": one.address or f"${one.address_env[0]}",
        }
        for one in PROVIDERS.values()
    ]
