"""What calls of the plain path may hold together without changing each other's answers, and what they may share."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch

from evalkit.backends.hf.continuing import SAME, Calling, calling
from evalkit.backends.hf.probe import COARSE
from evalkit.backends.hf.rope import CallState

Sharing = Literal["nothing", "rows", "beginnings", "states"]
"""What is read once: no row; rows that are equal; rows that others begin with; whatever rows have in common."""
SHARED: dict[Sharing, str] = {
    "nothing": "nothing",
    "rows": "equal rows are read once",
    "beginnings": "rows that others begin with are read once",
    "states": "common beginnings are read once, by the model's own state",
}
"""The record's words for it."""

SHORT, LONG, NEW = 5, 23, 3
"""Tokens of the probe's two prompts, and those generated behind them."""


class Batches:
    """What batches of ``model`` may hold; tried out on it, with its own attention, when it is first asked."""

    def __init__(self, model: Any, device: torch.device, alone: bool, share: bool = True) -> None:
        self._model = model
        self._device = device
        self._alone = alone
        self._share = share
        self._calls = CallState(model)

    @cached_property
    def calling(self) -> Calling:
        """How the model is called to score rows."""
        self.restore()
        return calling(self._model, self._device, self._share and not self._alone)

    @cached_property
    def sharing(self) -> Sharing:
        """What rows that begin alike have in common."""
        if not self._share:
            return "nothing"
        if self._alone or not self.calling.beginnings:
            return "rows"
        return "beginnings" if self.calling.state is None else "states"

    @cached_property
    def scores_mix(self) -> bool:
        """Whether right-padded scoring may mix rows of different lengths."""
        return not self._alone and _same(self._model, self._device, _scores)

    @cached_property
    def prompts_mix(self) -> bool:
        """Whether left-padded generation may. Padding would stand between a learned prompt and a text."""
        learned = hasattr(self._model, "active_peft_config")
        return not self._alone and not learned and _same(self._model, self._device, _prompts)

    @cached_property
    def prompts_together(self) -> bool:
        """Whether generation may hold several prompts of one length: RWKV goes wrong as soon as there are two."""
        return self.prompts_mix or _same(self._model, self._device, _prompts, SHORT)

    def restore(self) -> None:
        """Put position encodings that calls change back to what they were; before every batch."""
        self._calls.restore()

    def details(self) -> dict[str, str]:
        """What a run records of it."""
        mixed = {"scores": self.scores_mix, "generations": self.prompts_mix}
        kept = [name for name, mix in mixed.items() if not mix]
        found = {"plain_batches": f"of one length ({', '.join(kept)})"} if kept else {}
        if not self.prompts_together:
            found["plain_generation"] = "one prompt at a time: others beside it change what the model says"
        return found | ({"plain_sharing": SHARED[self.sharing]} if self._share else {})


def _same(model: Any, device: torch.device, ask: Any, beside_it: int = LONG) -> bool:
    """Whether a row gets the logits that it gets alone beside one of so many tokens, padded where that is longer."""
    vocabulary = model.config.get_text_config().vocab_size
    draw = torch.from_numpy(np.random.default_rng(1).integers(0, vocabulary, LONG).astype(np.int64)).to(device)
    tolerance = SAME.get(model.dtype, COARSE)
    try:
        with torch.inference_mode():
            alone, beside = ask(model, draw[:SHORT], None), ask(model, draw[:SHORT], draw[-beside_it:])
    except (RuntimeError, ValueError, IndexError, TypeError, AttributeError, NotImplementedError):
        return False  # a model that refuses padding is served without
    apart, spread = float((alone - beside).abs().mean(dim=-1).max()), float(alone.std())
    return not np.isfinite(spread) or apart <= tolerance * (spread or 1.0)


def _scores(model: Any, row: torch.Tensor, other: torch.Tensor | None) -> torch.Tensor:
    """Logits [tokens, vocabulary] of ``row`` in a right-padded batch."""
    rows = row[None] if other is None else torch.stack([other, _padded(row, len(other), at_end=True)])
    logits: torch.Tensor = model(input_ids=rows, use_cache=False).logits
    return logits[-1, : len(row)].float()


def _prompts(model: Any, row: torch.Tensor, other: torch.Tensor | None) -> torch.Tensor:
    """Logits [NEW, vocabulary] of the tokens generated after ``row`` in a left-padded batch."""
    rows = row[None] if other is None else torch.stack([other, _padded(row, len(other), at_end=False)])
    mask = torch.ones_like(rows)
    mask[-1, : rows.shape[1] - len(row)] = 0
    output = model.generate(
        input_ids=rows,
        attention_mask=mask,
        do_sample=False,
        num_beams=1,
        max_new_tokens=NEW,
        min_new_tokens=NEW,
        pad_token_id=0,
        output_logits=True,
        return_dict_in_generate=True,
    )
    return torch.stack([step[-1] for step in output.logits]).float()


def _padded(row: torch.Tensor, length: int, at_end: bool) -> torch.Tensor:
    missing = length - len(row)
    return torch.nn.functional.pad(row, (0, missing) if at_end else (missing, 0))
