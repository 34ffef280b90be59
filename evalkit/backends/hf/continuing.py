"""What a model is like between calls: the state that it carries on, and the hidden rows that its head reads.

Attention over a cache, convolutions and recurrences alike keep a state in transformers' calls. Where a model can go on
from a copy of it by several tokens, a shared beginning need be read once (`plain`). Whether it can is tried out.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch

from evalkit.backends.hf.head import Head, candidates

STATES = ("past_key_values", "cache_params", "state")
"""Names of the state in a model's arguments and outputs: most models, Mamba, RWKV."""

READ, SHORT, LONG = 9, 5, 11
"""Tokens of the trial's beginning, and of the two rows that go on from it."""


@dataclass(frozen=True)
class Calling:
    """How a model is called on the plain path. ``head`` gives logits of the hidden rows of its body; None where the
    whole model must be asked. ``state``: the name of its state; None where it cannot go on from one.
    """

    head: Head | None
    state: str | None

    def __call__(self, model: Any, tokens: torch.Tensor, state: Any, keep: bool) -> tuple[torch.Tensor, Any]:
        """What the head reads [rows, tokens, width] (logits where there is no head) of ``tokens`` [rows, tokens]
        behind ``state``, which this changes; and the state behind them if ``keep``.
        """
        told: dict[str, Any] = {"use_cache": keep or state is not None}
        if state is not None:
            told[str(self.state)] = state
        if self.head is None:
            output = model(input_ids=tokens, **told)
            found = output.logits[:, -tokens.shape[1] :]  # learned prompts of an adapter stand before the text
        else:
            output = model.base_model(input_ids=tokens, **told)
            found = output.last_hidden_state
        return found, getattr(output, str(self.state)) if keep else None


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


def calling(model: Any, device: torch.device, tolerance: float, shares: bool) -> Calling:
    """How ``model`` may be called so that its logits stay its own, within ``tolerance`` of their spread; ``shares``:
    whether beginnings may be shared at all.
    """
    vocabulary = model.config.get_text_config().vocab_size
    drawn = torch.Generator().manual_seed(2)
    tokens = torch.randint(0, vocabulary, (2, READ + LONG), generator=drawn).to(device)
    tokens[1, :READ] = tokens[0, :READ]
    with torch.inference_mode():
        whole = model(input_ids=tokens, use_cache=False).logits[:, -tokens.shape[1] :].float()
        spread = float(whole.std()) or 1.0

        def same(logits: torch.Tensor, own: torch.Tensor) -> bool:
            return float((logits.float() - own).abs().mean(dim=-1).max()) <= tolerance * spread

        head = _head(model, tokens, lambda logits: same(logits, whole))
        if not shares:
            return Calling(head, None)
        for name in STATES:
            tried = Calling(head, name)
            try:
                _, state = tried(model, tokens[:1, :READ], None, keep=True)
                if state is None:
                    continue
                known = head or (lambda rows: rows)
                for _ in range(2):  # a copy's use must not change the state
                    rows = tokens[:, READ:].clone()
                    rows[1, SHORT:] = 0
                    found, _ = tried(model, rows, copies(state, 2), keep=False)
                    kept = same(known(found[0]), whole[0, READ:]) and same(
                        known(found[1, :SHORT]), whole[1, READ : READ + SHORT]
                    )
                    if not kept:
                        return Calling(head, None)
                return tried
            except (RuntimeError, ValueError, IndexError, TypeError, AttributeError, NotImplementedError):
                continue
    return Calling(head, None)


def _head(model: Any, tokens: torch.Tensor, same: Any) -> Head | None:
    try:
        hidden = model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
        return next((head for head in candidates(model) if same(head(hidden))), None)
    except (RuntimeError, ValueError, TypeError, AttributeError):
        return None
