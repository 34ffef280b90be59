"""Arguments of the server backend (``--model_args``), validated before a run directory is written: keys of an API never
stand in arguments or URLs, because those are recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar, overload
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field

from evalkit.contract.errors import UserError
from evalkit.spec.models import ModelSpec
from evalkit.spec.strict import Strict, model_args

KEY_VARIABLE = "OPENAI_API_KEY"
SECRETS = ("api_key", "apikey", "key", "token", "authorization", "password", "headers", "header")


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


S = TypeVar("S", bound=Settings)


@overload
def settings(model: ModelSpec) -> Settings: ...
@overload
def settings(model: ModelSpec, form: type[S]) -> S: ...
def settings(model: ModelSpec, form: type[Any] = Settings) -> Any:
    """The validated arguments of ``model``, as ``form``. Raises UserError."""
    return _checked(model.name, dict(model.args), form)


def _checked(name: str, args: Mapping[str, Any], form: type[S]) -> S:
    if secret := next((key for key in args if key.lower() in SECRETS), None):
        raise UserError(
            f"--model_args {secret}: keys do not belong into arguments, which are recorded: set the environment "
            f"variable {KEY_VARIABLE}, or another one and name it by api_key_env=NAME"
        )
    given = dict(args)
    if name.startswith(("http://", "https://")):
        given["base_url"] = name
    elif name not in ("openai", ""):
        given.setdefault("model", name)
    found = model_args(form, given, "the backend openai")
    return found.model_copy(update={"base_url": _url(found.base_url)})


def _url(given: str) -> str:
    """The URL without the last part of an endpoint, with /v1 where it has no path."""
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
            f"recorded: put the key into the environment variable {KEY_VARIABLE}"
        )
    path = parts.path.rstrip("/")
    for endpoint in ("/chat/completions", "/completions", "/embeddings"):
        path = path.removesuffix(endpoint)
    return f"{parts.scheme}://{parts.netloc}{path or '/v1'}"
