"""What a model is like between calls: the state that it carries on, and the hidden rows that its head reads.

Attention over a cache, convolutions and recurrences alike keep a state in transformers' calls. Where a model can go on
from a copy of it by several tokens, a shared beginning need be read once (`plain`). Whether it can is tried out.
"""

from __future__ import annotations

import copy
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from evalkit.backends.hf import own_recurrence
from evalkit.backends.hf.head import Head, candidates

STATES = ("past_key_values", "cache_params", "state")
"""Names of the state in a model's arguments and outputs: most models, Mamba, RWKV."""

REFUSALS = (RuntimeError, ValueError, IndexError, TypeError, AttributeError, NotImplementedError)
"""How a model says that it cannot be called so."""

SAME, SAME_COARSE = {torch.float32: 1e-4, torch.float64: 1e-4, torch.float16: 0.02}, 0.1
"""Difference of logits, by their spread, at which two ways of calling count as the same, by dtype; for bfloat16, and
for others. Sums in another order differ by 1e-6 in float32, layers that read their state otherwise by 1."""

READ, SHORT, LONG = 9, 5, 11
"""Tokens of the trial's beginning, and of the two rows that go on from it."""


@dataclass(frozen=True)
class Calling:
    """How a model is called on the plain path. ``head`` gives logits of the hidden rows of its body; None where the
    whole model must be asked. ``state``: the name of its state; None where it cannot go on from one.
    """

    head: Head | None
    state: str | None
    beginnings: bool = True
    """Whether what a row says of its beginning is what the beginning says by itself, to the digit."""
    adapted: bool = False
    """Whether its recurrent layers are to go on by `own_recurrence`."""

    def __call__(self, model: Any, tokens: torch.Tensor, state: Any, keep: bool) -> tuple[torch.Tensor, Any]:
        """What the head reads [rows, tokens, width] (logits where there is no head) of ``tokens`` [rows, tokens]
        behind ``state``, which this changes; and the state behind them if ``keep``.
        """
        told: dict[str, Any] = {"use_cache": keep or state is not None}
        if state is None and keep and self.adapted:
            state = fresh_state(model)
        if state is not None:
            told[str(self.state)] = state
        with own_recurrence.going_on() if self.adapted else nullcontext():
            if self.head is None:
                output = model(input_ids=tokens, **told)
                found = output.logits[:, -tokens.shape[1] :]  # learned prompts of an adapter stand before the text
            else:
                output = model.base_model(input_ids=tokens, **told)
                found = output.last_hidden_state
        return found.to(tokens.device), getattr(output, str(self.state), state) if keep else None


def copies(state: Any, rows: int) -> Any:
    """The state of one row for ``rows`` of them, to be changed without changing it."""
    if state is None:
        return None
    if isinstance(state, list | tuple):
        return type(state)(copies(part, rows) for part in state)
    if isinstance(state, torch.Tensor):
        return state.repeat_interleave(rows, dim=0)
    made = copy.deepcopy(state)
    if rows > 1:
        made.reorder_cache(torch.zeros(rows, dtype=torch.long))
    return made


def fresh_state(model: Any) -> Any:
    """An empty cache; some models keep none of their own accord, or not all of their state in it."""
    from transformers import DynamicCache

    return DynamicCache(config=model.config)


def calling(model: Any, device: torch.device, shares: bool) -> Calling:
    """How ``model`` may be called so that its logits stay its own; ``shares``: whether rows may be read together."""
    return _Trial(model, device).calling(shares)


class _Trial:
    """Two rows that begin alike, and what the model says of them."""

    def __init__(self, model: Any, device: torch.device) -> None:
        self._model = model
        vocabulary = model.config.get_text_config().vocab_size
        tokens = torch.randint(0, vocabulary, (2, READ + LONG), generator=torch.Generator().manual_seed(2)).to(device)
        tokens[1, :READ] = tokens[0, :READ]
        self._tokens = tokens
        self._whole = self._logits(tokens)
        self._most = SAME.get(model.dtype, SAME_COARSE) * (float(self._whole.std()) or 1.0)

    def _logits(self, tokens: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            logits = self._model(input_ids=tokens, use_cache=False).logits
            return logits[:, -tokens.shape[1] :].float()

    def _same(self, logits: torch.Tensor, own: torch.Tensor) -> bool:
        return self._apart(logits, own) <= self._most

    def _apart(self, logits: torch.Tensor, own: torch.Tensor) -> float:
        return float((logits.float().to(own.device) - own).abs().mean(dim=-1).max())

    def calling(self, shares: bool) -> Calling:
        head = self._head()
        if not shares:
            return Calling(head, None)
        state = next((name for name in STATES if self._goes_on(Calling(head, name))), None)
        if state is None and own_recurrence.adapt(self._model):
            state = next((name for name in STATES if self._goes_on(Calling(head, name, adapted=True))), None)
            if state is not None:
                return Calling(head, state, adapted=True)
        alone = self._logits(self._tokens[:1, :READ])
        return Calling(head, state, beginnings=state is not None or self._same(alone, self._whole[:1, :READ]))

    def _head(self) -> Head | None:
        try:
            with torch.inference_mode():
                hidden = self._model.base_model(input_ids=self._tokens, use_cache=False).last_hidden_state
                # The nearest: in half precision a cap far above the logits passes for none, and is off all the same.
                apart = [(self._apart(head(hidden), self._whole), head) for head in candidates(self._model)]
            least, head = min(apart, key=lambda one: one[0])
            return head if least <= self._most else None
        except REFUSALS:
            return None

    def _goes_on(self, tried: Calling) -> bool:
        """Whether the model goes on from copies of its state, which their use does not change."""
        head = tried.head or (lambda logits: logits)
        rows = self._tokens[:, READ:].clone()
        rows[1, SHORT:] = 0
        try:
            with torch.inference_mode():
                begun, state = tried(self._model, self._tokens[:1, :READ], None, keep=True)
                if state is None or not self._same(head(begun), self._whole[:1, :READ]):
                    return False
                for _ in range(2):
                    found = head(tried(self._model, rows, copies(state, 2), keep=False)[0])
                    short = self._same(found[1, :SHORT], self._whole[1, READ : READ + SHORT])
                    if not (short and self._same(found[0], self._whole[0, READ:])):
                        return False
        except REFUSALS:
            return False
        return True
