"""What is asked for by a name like openai/gpt-4o-mini: the provider, the model, where it is and which key opens it.

Validated before a run directory is written: keys never stand in arguments or addresses, because those are recorded.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import Field

from evalkit.backends.hosted.providers import ALSO, PROVIDERS, Provider, intended, provider_of
from evalkit.backends.openai.concurrency import START
from evalkit.backends.openai.settings import Credentials, Settings, address, no_keys
from evalkit.backends.pricing import FREE, Listed, Price, listed, quoted
from evalkit.contract.capabilities import Quote
from evalkit.contract.errors import UserError
from evalkit.contract.registry import did_you_mean
from evalkit.spec.models import ModelSpec
from evalkit.spec.strict import model_args

REGION = "us-east-1"
"""Where Bedrock is asked if nothing names a region."""


class HostedSettings(Settings):
    """What ``--model_args`` may hold for a provider's model."""

    base_url: str = ""
    """Another address than the provider's own: a proxy, a gateway."""
    api_key_env: str = ""
    """Name of the environment variable that holds the key; default: the provider's own."""
    api: Literal["chat", "responses"] | None = None
    """OpenAI's protocol: chat completions, or responses; default: chat, and responses for models that have no other."""
    num_concurrent: int | None = Field(default=None, ge=1, le=1024)
    batch: bool = False
    """Ask by the provider's batches (OpenAI, Anthropic): half the list price, within 24 hours."""
    batch_poll: float = Field(default=30.0, gt=0, le=3600)
    """Seconds between two looks at a batch."""
    region: str | None = Field(default=None, pattern=r"^[a-z0-9-]{4,32}$")
    """Of Amazon Bedrock."""


BATCHES = ("openai", "anthropic")
"""Providers whose batches are known."""
VERSION = "2023-06-01"
"""Of Anthropic's API: see `evalkit.backends.hosted.anthropic`."""


@dataclass(frozen=True, slots=True)
class Hosted:
    """A provider's model, as asked for."""

    provider: Provider
    model: str
    chosen: HostedSettings

    @property
    def name(self) -> str:
        """As the user writes it."""
        return f"{self.provider.name}/{self.model}"

    def credentials(self) -> Credentials:
        """The key, from the environment. Raises UserError where there is none and one is needed."""
        key = os.environ.get(self.chosen.api_key_env, "")
        if not key and (self.provider.needs_key or self._own_variable):
            others = "" if self._own_variable else "".join(f" (or {one})" for one in self.provider.keys[1:])
            raise UserError(
                f"{self.name}: the key of {self.provider.title} is missing: set the environment variable "
                f"{self.chosen.api_key_env}{others}, or name another by --model_args api_key_env=NAME"
            )
        if any(not "!" <= sign <= "~" for sign in key):
            raise UserError(f"{self.chosen.api_key_env}: holds characters that no key has (a space, a line break)")
        carried = f"Bearer {key}" if self.provider.header == "Authorization" else key
        headers = {self.provider.header: carried} if key else {}
        if self.provider.protocol == "anthropic":
            headers["anthropic-version"] = VERSION
        return Credentials(key, headers)

    @property
    def _own_variable(self) -> bool:
        return self.chosen.api_key_env not in self.provider.keys

    def terms(self, model: ModelSpec) -> tuple[Price | None, Quote]:
        """The price, and what is told of it. Raises UserError where there is a limit and no price."""
        if self.provider.own and not model.price:
            return FREE, Quote((0.0, 0.0), FREE.source, self.chosen.num_concurrent or START, self.provider.title)
        found = self.listed()
        where = f"see {self.provider.title}'s list"
        price, quote = quoted(model, found, where, self.chosen.num_concurrent or START)
        if self.chosen.batch:
            quote = replace(quote, within="24 hours")
        if self.chosen.batch and price is not None:
            price = price.in_batches()
            quote = replace(quote, price=(price.prompt, price.output), source=price.source)
        return price, replace(quote, at=self.provider.title)

    def listed(self) -> Listed | None:
        """What the price list knows of the model."""
        return listed(self.provider.prices, self.model) if self.provider.prices else None


def hosted(model: ModelSpec) -> Hosted:
    """What ``model`` asks for. Raises UserError for an unknown provider or a wrong argument."""
    found = provider_of(model.name)
    if found is None:
        meant = intended(model.name)
        known = [*PROVIDERS, *ALSO]
        hint = f"; did you mean {meant}?" if meant else did_you_mean(model.name.partition("/")[0], known, most=40)
        raise UserError(f"--model {model.name}: a hosted model goes by PROVIDER/MODEL{hint} (docs/hosted.md)")
    provider, name = found
    no_keys(model.args, provider.keys[0])
    chosen = model_args(HostedSettings, dict(model.args), f"models of {provider.title}")
    if chosen.model is not None:
        raise UserError(f"--model_args model={chosen.model}: the name of the model is in --model {model.name} already")
    if chosen.api is not None and provider.protocol != "openai":
        raise UserError(f"--model_args api={chosen.api}: {provider.title} has one API, and it is not OpenAI's")
    if chosen.batch and provider.name not in BATCHES:
        raise UserError(
            f"--model_args batch=true: {provider.title} is not asked in batches here, only {', '.join(BATCHES)}"
        )
    if chosen.region is not None and "{region}" not in provider.address:
        raise UserError(f"--model_args region={chosen.region}: {provider.title} has no regions here")
    key = chosen.api_key_env or next((one for one in provider.keys if os.environ.get(one)), provider.keys[0])
    return Hosted(provider, name, chosen.model_copy(update={"base_url": _base(provider, chosen), "api_key_env": key}))


def _base(provider: Provider, chosen: HostedSettings) -> str:
    """The address that the API's paths follow."""
    if chosen.base_url:
        return address(chosen.base_url, provider.keys[0], bare=provider.protocol != "openai")
    named = next((os.environ[one] for one in provider.address_env if os.environ.get(one)), "")
    if "{region}" in provider.address:
        region = chosen.region or named or REGION
        return address(provider.address.replace("{region}", region), provider.keys[0], bare=True)
    if provider.name == "azure":
        if not named:
            raise UserError(
                "azure: set the environment variable AZURE_OPENAI_ENDPOINT to your resource "
                "(https://NAME.openai.azure.com), or give --model_args base_url=https://NAME.openai.azure.com/openai/v1"
            )
        root = named.rstrip("/").removesuffix("/openai/v1").removesuffix("/openai")
        return address(f"{root}/openai/v1", provider.keys[0])
    if named:
        return address(named if "://" in named else f"http://{named}", provider.keys[0], bare=True)
    return provider.address
