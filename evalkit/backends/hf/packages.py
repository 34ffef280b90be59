"""Which package quantizes in which way, without importing any."""

from __future__ import annotations

BITSANDBYTES = ("int8", "nf4", "fp4")


def package_of(quant: str) -> str:
    """The package that quantizes so."""
    return "bitsandbytes" if quant in BITSANDBYTES else "hqq" if quant == "hqq4" else "torchao"
