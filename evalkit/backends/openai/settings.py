"""Arguments of the server backend (``--model_args``), validated before a run directory is written: keys of an API never
stand in arguments or URLs, because those are recorded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, overload
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field

from evalkit.backends.openai.concurrency import START
from evalkit.backends.pricing import Price, listed, quoted
from evalkit.contract.capabilities import Quote
from evalkit.contract.errors import UserError
from evalkit.spec.models import ModelSpec
from evalkit.spec.strict import Strict, model_args

KEY_VARIABLE = "OPENAI_API_KEY"
SECRETS = ("api_key", "apikey", "key", "token", "auth_token", "authorization", "password", "headers", "header")


class Settings(Strict):
    """What ``--model_args`` may hold for a server."""

    model_config = ConfigDict(protected_namespaces=())

    base_url: str = ""
    """Where the API's paths begin, for example http://localhost:8000/v1; default: the model's name if it is a URL."""
    model: str | None = None
    """The model's name on the server; default: the only one that it lists."""
    num_concurrent: int | None = Field(default=None, ge=1, le=1024)
    """Exchanges under way at once; default: as many as the server bears (`evalkit.backends.openai.concurrency`)."""
    timeout: float = Field(default=300.0, gt=0)
    """Seconds until a reply must be complete."""
    max_retries: int = Field(default=5, ge=0)
    """Further tries after 429, 5xx, a time-out or a broken connection."""
    retry_wait: float = Field(default=1.0, ge=0)
    """Seconds before the first further try; they double, with jitter, unless the server says Retry-After."""
    api_key_env: str = KEY_VARIABLE
    """Name of the environment variable that holds the key."""
    scoring: Literal["auto", "tokens", "echo", "forced", "none"] = "auto"
    """How log-likelihoods are got: see evalkit.backends.openai.scoring."""
    stream: bool = True
    """Ask for texts piece by piece, which tells the time to the first token; false: whole replies."""
    tokenizer: str | None = None
    """A folder, Hub id or known name whose tokenizer counts tokens where the server does not (no ``usage``), and makes
    token ids for a vLLM server where it gives the server's.
    """
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key and the headers that carry it; never shown."""

    key: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def bearer(settings: Settings) -> Credentials:
    """The key of the environment as OpenAI takes it; none where OPENAI_API_KEY is not set. Raises UserError for another
    variable that is not set.
    """
    key = os.environ.get(settings.api_key_env, "")
    if not key and settings.api_key_env != KEY_VARIABLE:
        raise UserError(f"api_key_env={settings.api_key_env}: this environment variable is not set")
    return Credentials(key, {"Authorization": f"Bearer {key}"} if key else {})


def terms(model: ModelSpec, chosen: Settings, name: str | None) -> tuple[Price | None, Quote]:
    """The price of a server's model, by the address of a provider that the price list knows, and what is told of it.
    Raises UserError where there is a limit and no price.
    """
    paid = name is not None and chosen.base_url.startswith("https://")
    found = listed(None, str(name), chosen.base_url) if paid else None
    return quoted(model, found, "the server tells no prices", chosen.num_concurrent or START)


S = TypeVar("S", bound=Settings)


@overload
def settings(model: ModelSpec) -> Settings: ...
@overload
def settings(model: ModelSpec, form: type[S]) -> S: ...
def settings(model: ModelSpec, form: type[Any] = Settings) -> Any:
    """The validated arguments of ``model``, as ``form``. Raises UserError."""
    return _checked(model.name, dict(model.args), form)


def _checked(name: str, args: Mapping[str, Any], form: type[S]) -> S:
    no_keys(args, KEY_VARIABLE)
    given = dict(args)
    if name.startswith(("http://", "https://")):
        given["base_url"] = name
    elif name not in ("openai", ""):
        given.setdefault("model", name)
    found = model_args(form, given, "the backend openai")
    return found.model_copy(update={"base_url": address(found.base_url, KEY_VARIABLE)})


def no_keys(args: Mapping[str, Any], variable: str) -> None:
    """UserError for a key among arguments; ``variable``: where it belongs."""
    if secret := next((key for key in args if key.lower() in SECRETS), None):
        raise UserError(
            f"--model_args {secret}: keys do not belong into arguments, which are recorded: set the environment "
            f"variable {variable}, or another one and name it by api_key_env=NAME"
        )


def address(given: str, variable: str, bare: bool = False) -> str:
    """The URL without the last part of an endpoint, with /v1 where it has no path (not where it is ``bare``). UserError
    for what is none, or holds more than a URL may; ``variable``: where a key belongs.
    """
    try:
        parts = urlsplit(given)
        parts.port  # noqa: B018 - raises for a port that is none
    except ValueError as error:
        raise UserError(f"--model {given}: not a URL ({error}); for example http://localhost:8000/v1") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"--model {given or '(empty)'}: not a server's URL; for example http://localhost:8000/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UserError(
            f"--model {parts.scheme}://{parts.hostname}...: the URL may hold no user, password or query, for it is "
            f"recorded: put the key into the environment variable {variable}"
        )
    path = parts.path.rstrip("/")
    for endpoint in ("/chat/completions", "/completions", "/embeddings"):
        path = path.removesuffix(endpoint)
    return f"{parts.scheme}://{parts.netloc}{path or ('' if bare else '/v1')}"
