"""What a paid model's run is going to cost, and what it has cost, in a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from evalkit.text import numbers

if TYPE_CHECKING:
    from evalkit.contract.types import RunResult
    from evalkit.runner.costs import Expected


def usd(value: float) -> str:
    """ "0.0123 USD": cents and below for small amounts, cents for large ones."""
    if value == 0:
        return "0 USD"
    return f"{value:,.2f} USD" if value >= 10 else f"{value:.3g} USD" if value >= 1e-6 else "under 0.000001 USD"


def expectation(found: Expected) -> list[str]:
    """What is ahead: money, tokens, time. What will be written is known only as the most that it can be."""
    price, source = found.quote.price, found.quote.source
    time = f"at most about {numbers.seconds(found.most_seconds)}, {found.quote.at_once} at a time"
    if found.quote.within:
        time = f"by batches, within {found.quote.within}"
    tokens = f"about {found.prompt_tokens:,} tokens to read, at most {found.most_output_tokens:,} to write"
    if price is None or found.prompt_usd is None or found.most_usd is None:
        return [f"cost: price not known: {source} (--price in=...,out=...)", f"{tokens}; {time}"]
    if not any(price):
        return [f"{tokens}; {time}"]
    money = f"{usd(found.prompt_usd).removesuffix(' USD')} to at most {usd(found.most_usd)}"
    rate = f"at {price[0]:g} USD a million tokens read, {price[1]:g} written ({source})"
    return [f"cost: {money}; {time}", tokens, rate]


def bill(result: RunResult) -> str | None:
    """What the run's answers cost; None where nobody pays for them."""
    return bill_of(result.counters, (result.model.get("details") or {}).get("price") or {})


def bill_of(counters: Mapping[str, Any], price: Mapping[str, Any]) -> str | None:
    """The same of ``counters`` {"cost", "prompt_tokens", "output_tokens"} at the ``price`` that the record keeps."""
    cost = counters.get("cost")
    if not isinstance(cost, Mapping):
        return None
    read, written = counters.get("prompt_tokens", 0), counters.get("output_tokens", 0)
    cached = f" ({cost['cached_tokens']:,} from the provider's cache)" if cost.get("cached_tokens") else ""
    thought = f" ({cost['reasoning_tokens']:,} of them thought)" if cost.get("reasoning_tokens") else ""
    if price and not (price.get("in") or price.get("out")):
        return f"tokens: {read:,} read, {written:,} written{thought}"
    known = "price not known" if cost.get("usd") is None else usd(cost["usd"])
    without = f"; of {cost['unpriced']:,} answers the price is not known" if cost.get("unpriced") else ""
    return f"cost: {known}: {read:,} tokens read{cached}, {written:,} written{thought}{without}"
