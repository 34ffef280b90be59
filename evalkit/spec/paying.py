"""Settings of models that are paid by the token."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from evalkit.spec import values
from evalkit.spec.option import MODEL, Option

Rate = Literal["in", "out", "cached"]

Price = Annotated[
    dict[Rate, Annotated[float, Field(ge=0)]],
    Option(
        "USD a million tokens, read, written, and read from the provider's cache: in=0.15,out=0.6,cached=0.075.",
        MODEL,
        metavar="K=V,...",
        default="the provider's list price, where it is known",
        advice="numbers of USD a million tokens: in=0.15,out=0.6 and, if you like, cached=0.075",
        read=values.key_values,
        joined=True,
        free=True,
    ),
]
MaxCost = Annotated[
    float | None,
    Option(
        "Stop before the run's answers cost more; resume with a higher limit.",
        MODEL,
        metavar="USD",
        advice="an amount of USD above 0",
        free=True,
    ),
]
