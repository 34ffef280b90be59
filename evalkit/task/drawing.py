"""What a task.yaml may say of the examples it shows and of how answers are generated."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from evalkit.spec.strict import Strict


class Fewshot(Strict):
    """How few-shot examples are drawn. ``random``: anew for every document, from one seeded generator, as lm-eval
    does; ``fixed``: one seeded draw for all; ``first_n``: the first ones; ``similar``: those most like the document.
    ``quality``: out of this best share of the pool, by ``measure`` (evalkit.task.selection).

    ``exclude_self``: draw one more and leave out the evaluated document; by default where both splits are the same.
    ``locked``: the examples stand in the prompt itself. ``file``: JSON lines of our own in place of a split.
    ``only``: the rows that examples may be, by their numbers in the split (from 0).
    """

    num: int = Field(default=0, ge=0)
    sampler: Literal["random", "first_n", "fixed", "similar"] = "random"
    quality: float | None = Field(default=None, gt=0, le=1)
    measure: Literal["length", "comet_kiwi"] = "length"
    seed: int | None = None
    exclude_self: bool | None = None
    locked: bool = False
    file: Path | None = None
    only: tuple[int, ...] = ()


class Generation(Strict):
    """Until when, how long and how text is generated; greedy unless a temperature is given. ``repeats``: how many
    answers are sampled for each prompt.
    """

    until: tuple[str, ...] | None = None
    max_tokens: int = Field(default=256, gt=0)
    temperature: float = Field(default=0.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)
    repeats: int = Field(default=1, ge=1)
    extra: dict[str, Any] = Field(default_factory=dict)
