"""What models cost that are paid by the token: list prices by genai-prices, the user's own by --price.

genai-prices carries the providers' list prices, context windows and tiers as a table of its release; nothing is asked
over a network for them. A provider's own word on what an answer cost (OpenRouter's) goes before both.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from evalkit.contract.capabilities import Quote
from evalkit.contract.errors import MissingExtra, UserError
from evalkit.spec.models import ModelSpec

PACKAGE = "genai-prices"
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """USD a million tokens: of the prompt, of it from the provider's cache, and written, thoughts included."""

    prompt: float
    output: float
    cached: float
    source: str
    listed: tuple[str, str] | None = None
    """Provider and model at genai-prices, whose price may depend on a prompt's length or the hour."""
    share: float = 1.0
    """Of the list price, that is paid: a half in batches. The prices above are those that are paid."""

    def in_batches(self) -> Price:
        """Half of a list price; a price that the user gave stays."""
        if self.listed is None:
            return self
        prices = {name: getattr(self, name) / 2 for name in ("prompt", "output", "cached")}
        return replace(self, **prices, share=0.5, source=f"{self.source}, half of it in batches")

    def cost(self, prompt: int, output: int, cached: int = 0, stored: int = 0) -> float:
        """USD of one answer; ``cached`` of the prompt's tokens came from a cache, ``stored`` went into it."""
        cached = min(cached, prompt)
        if self.listed is not None:
            from genai_prices import Usage, calc_price

            usage = Usage(
                input_tokens=prompt,
                output_tokens=output,
                cache_read_tokens=cached,
                cache_write_tokens=min(stored, prompt - cached),
            )
            return self.share * float(calc_price(usage, self.listed[1], provider_id=self.listed[0]).total_price)
        return ((prompt - cached) * self.prompt + cached * self.cached + output * self.output) / MILLION

    def plain(self) -> dict[str, Any]:
        """As the record keeps it."""
        return {"in": self.prompt, "out": self.output, "cached": self.cached, "unit": "USD/Mtok", "source": self.source}


FREE = Price(0.0, 0.0, 0.0, "runs on a machine of your own")


@dataclass(frozen=True, slots=True)
class Listed:
    """What the price list knows of a model."""

    price: Price | None
    window: int | None


def own_price(model: ModelSpec) -> Price | None:
    """The price that the user gave. Raises UserError for half of one."""
    if not model.price:
        return None
    if missing := [name for name in ("in", "out") if name not in model.price]:
        raise UserError(f"--price: {' and '.join(missing)} is missing: USD a million tokens, --price in=0.15,out=0.6")
    read, written = model.price["in"], model.price["out"]
    return Price(read, written, model.price.get("cached", read), "--price")


def quoted(model: ModelSpec, listed: Listed | None, where: str, at_once: int) -> tuple[Price | None, Quote]:
    """The price of ``model`` and what is told of it. ``where``: the place to look for a price that is not known.

    Raises UserError where a limit was set and no price is known.
    """
    price = own_price(model) or (listed.price if listed is not None else None)
    if price is None and model.max_cost is not None:
        if listed is None and find_spec("genai_prices") is None:
            raise MissingExtra("a list price", PACKAGE, "hosted")
        raise UserError(
            f"--max-cost: the price of {model.name} is not known here: give it, in USD a million tokens: "
            f"--price in=...,out=... ({where})"
        )
    told = None if price is None else (price.prompt, price.output)
    return price, Quote(told, where if price is None else price.source, at_once)


@lru_cache(maxsize=64)
def listed(provider: str | None, model: str, url: str | None = None) -> Listed | None:
    """The list price of a provider's model, the provider named or found by its address; None where there is none, or no
    list.
    """
    if find_spec("genai_prices") is None:
        return None
    from genai_prices import Usage, calc_price

    try:
        given = {"provider_id": provider} if provider else {"provider_api_url": url}
        found = calc_price(Usage(input_tokens=1, output_tokens=1), model, **given)
    except LookupError:
        return None
    rates = {name: getattr(found.model_price, name, None) for name in ("input_mtok", "output_mtok", "cache_read_mtok")}
    read, written, cached = (_base(rates[name]) for name in rates)
    if read is None or written is None:
        return Listed(None, found.model.context_window)
    source = f"list price, {PACKAGE} {importlib.metadata.version(PACKAGE)}"
    price = Price(read, written, read if cached is None else cached, source, (found.provider.id, model))
    return Listed(price, found.model.context_window)


def _base(rate: Any) -> float | None:
    """A rate, or that of its lowest tier."""
    return None if rate is None else float(getattr(rate, "base", rate))


@lru_cache(maxsize=64)
def known(provider: str) -> tuple[str, ...]:
    """Names of the provider's models in the price list; none without the list."""
    if find_spec("genai_prices") is None:
        return ()
    from genai_prices.data_snapshot import get_snapshot

    return tuple(model.id for one in get_snapshot().providers if one.id == provider for model in one.models)
