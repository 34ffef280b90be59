"""What can be tuned, and how long: plain values, checked, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field, model_validator

from evalkit.spec.strict import Strict

Kind = Literal["full", "bitfit", "bottleneck", "lora", "ia3", "prefix", "prompt", "p-tuning"]
RATES: Mapping[str, float] = MappingProxyType(
    {
        "full": 2e-5,
        "bitfit": 1e-3,
        "bottleneck": 1e-3,
        "lora": 5e-4,
        "ia3": 5e-3,
        "prefix": 1e-2,
        "prompt": 3e-2,
        "p-tuning": 1e-3,
    }
)
"""Learning rates where none is given: the fewer numbers are tuned, the larger. Not searched for."""
WARMUP = 0.1
"""Share of the steps in which the learning rate rises; then it falls to zero in a straight line."""


class Method(Strict):
    """A way to tune a model.

    ``rank``: of LoRA, and the width of the bottleneck adapter; ``alpha`` LoRA's scale (default: twice the rank).
    ``tokens``: virtual tokens of prefix, prompt and P-tuning. ``modules``: the linear layers that LoRA or IA3 changes
    (default: those that peft knows for the architecture). ``name``: what tables call it.
    """

    method: Kind
    name: str = Field(default="", pattern=r"^[A-Za-z0-9._ -]{0,40}$")
    rank: int | None = Field(default=None, ge=1, le=4096)
    alpha: int | None = Field(default=None, ge=1)
    tokens: int | None = Field(default=None, ge=1, le=1024)
    modules: tuple[str, ...] | None = None
    learning_rate: float | None = Field(default=None, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return {"method": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _heeded(self) -> Method:
        takes = {
            "rank": ("lora", "bottleneck"),
            "alpha": ("lora",),
            "tokens": ("prefix", "prompt", "p-tuning"),
            "modules": ("lora", "ia3"),
        }
        for key, kinds in takes.items():
            if getattr(self, key) is not None and self.method not in kinds:
                raise ValueError(f"{self.method} takes no {key}: leave it out")
        return self

    @property
    def width(self) -> int:
        """LoRA's rank, the adapter's width, or the number of virtual tokens."""
        return self.rank or self.tokens or 8

    @property
    def label(self) -> str:
        """The name in tables: "lora r8", "prefix 8"."""
        if self.name:
            return self.name
        if self.method in ("lora", "bottleneck"):
            return f"{self.method} r{self.width}"
        return f"{self.method} {self.width}" if self.method in ("prefix", "prompt", "p-tuning") else self.method

    @property
    def rate(self) -> float:
        """The largest learning rate of the schedule."""
        return self.learning_rate or RATES[self.method]


def schedule(step: int, steps: int) -> float:
    """What the learning rate is multiplied with in step ``step`` (from 0) of ``steps``."""
    rising = max(1, round(WARMUP * steps))
    return (step + 1) / rising if step < rising else (steps - step) / max(1, steps - rising)
