"""The keys and values of sequences under way, and the attention of one more token of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from evalkit.backends.hf.attention import KeyValueStack
from evalkit.backends.hf.kernels import Rule, flash
from evalkit.engine.plan import Ending

PAGE = 64
"""The pool's length grows in steps of this many tokens."""
CALL = 512
"""A call of attention on a CPU costs about as much as reading the keys and values of so many tokens (0.16 ms beside 0.3
microseconds a token, SmolLM2's heads, one thread)."""


def runs_of(lengths: Sequence[int], call: int) -> list[tuple[int, int, int]]:
    """Neighbouring slots (from, to, longest) to attend together: one call more is worth it where padding to the longest
    of a run would read more than ``call`` tokens for nothing.
    """
    found: list[tuple[int, int, int]] = []
    for slot, length in enumerate(lengths):
        if found:
            begin, end, longest = found[-1]
            both = max(longest, length)
            if (end - begin) * (both - longest) + both - length <= call:
                found[-1] = begin, slot + 1, both
                continue
        found.append((slot, slot + 1, length))
    return found


class Pool:
    """Keys and values of the live sequences: a layer -> two tensors [slots, kv_heads, capacity, head_dim]."""

    def __init__(self, most: int | None = None) -> None:
        self._layers: dict[int, list[torch.Tensor]] = {}
        self._most = most
        self.slots = 0
        self.capacity = 0

    def reserve(
        self, slots: int, capacity: int, like: Mapping[int, tuple[torch.Tensor, torch.Tensor]] | None = None
    ) -> None:
        """Make room for ``slots`` sequences of ``capacity`` tokens, keeping what is there. ``like``: tensors of every
        layer, for a pool that has none yet.

        Slots at least double, up to ``most``, so that filling a pool of n costs log n copies of it. One layer at a time
        is held twice.
        """
        if slots <= self.slots and capacity <= self.capacity:
            return
        if slots > self.slots:
            slots = max(slots, min(2 * self.slots, self._most or 2 * self.slots))
        slots = max(slots, self.slots)
        capacity = max(-(-capacity // PAGE) * PAGE, self.capacity)
        for layer in like or list(self._layers):
            old = self._layers.get(layer)
            new = [t.new_zeros((slots, t.shape[1], capacity, t.shape[3])) for t in old or (like or {})[layer]]
            if old is not None:
                for before, after in zip(old, new, strict=True):
                    after[: self.slots, :, : self.capacity] = before
            self._layers[layer] = new
            del old
        self.slots, self.capacity = slots, capacity

    def layer(self, index: int) -> list[torch.Tensor]:
        return self._layers[index]

    def fill(
        self, slot: int, ending: Ending, computed: dict[int, tuple[torch.Tensor, torch.Tensor]], stack: KeyValueStack
    ) -> None:
        """Copy the path of a row that ended in a pass into ``slot``."""
        for layer, pair in computed.items():
            for position, begin, length in ending.pieces:
                source = stack.read(layer, position + length) if begin < 0 else pair
                begin = position if begin < 0 else begin
                for target, tensor in zip(self._layers[layer], source, strict=True):
                    target[slot, :, position : position + length] = tensor[0, :, begin : begin + length]

    def move(self, source: int, target: int, length: int) -> None:
        for pair in self._layers.values():
            for tensor in pair:
                tensor[target, :, :length] = tensor[source, :, :length]


class Step:
    """One token of each live sequence: slot i holds ``lengths[i]`` tokens before ``tokens[i]``."""

    def __init__(self, pool: Pool, tokens: Sequence[int], lengths: Sequence[int], device: torch.device) -> None:
        self._pool = pool
        self._count = len(lengths)
        self.tokens = torch.tensor(tokens, device=device)
        self.positions = torch.tensor(lengths, device=device)
        self._longest = self.reach = max(lengths) + 1
        self._slots = torch.arange(self._count, device=device)
        self._places: dict[torch.device, tuple[torch.Tensor, torch.Tensor]] = {device: (self._slots, self.positions)}
        self._biases: dict[tuple[int | None, torch.device], torch.Tensor] = {}
        # A GPU reads padding faster than it starts another kernel.
        whole = [(0, self._count, self._longest)]
        self._runs = runs_of([length + 1 for length in lengths], CALL) if device.type == "cpu" else whole

    def _on(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Slots and positions on the device of a layer."""
        if device not in self._places:
            self._places[device] = (self._slots.to(device), self.positions.to(device))
        return self._places[device]

    def _bias(self, window: int | None, like: torch.Tensor) -> torch.Tensor:
        """[slots, 1, 1, longest], added to scores: what a token does not see of its slot."""
        kind = (window, like.device)
        if kind not in self._biases:
            positions = self._on(like.device)[1]
            places = torch.arange(self._longest, device=like.device)
            hidden = places[None, :] > positions[:, None]
            if window is not None:
                hidden |= places[None, :] <= positions[:, None] - window
            bias = torch.zeros(hidden.shape, dtype=like.dtype, device=like.device)
            self._biases[kind] = bias.masked_fill_(hidden, float("-inf"))[:, None, None, :]
        return self._biases[kind]

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rule: Rule
    ) -> torch.Tensor:
        """Keep the tokens' keys and values in their slots; attention [1, heads, n, d] -> [1, n, heads, d]."""
        keys, values = self._pool.layer(layer)
        slots, positions = self._on(key.device)
        keys[slots, :, positions] = key[0].transpose(0, 1)
        values[slots, :, positions] = value[0].transpose(0, 1)
        rows = query[0].transpose(0, 1).unsqueeze(2)
        bias = self._bias(rule.window, query)
        if rule.cap is not None or rule.sinks is not None:
            found = [
                flash(rows[i:j], keys[i:j, :, :n], values[i:j, :, :n], False, rule.scale, rule.cap, bias[i:j, ..., :n])
                for i, j, n in self._runs
            ]
            output, total = (torch.cat(parts) for parts in zip(*found, strict=True))
            return rule.sunk(output.transpose(1, 2), total).transpose(0, 1)
        if query.device.type == "cuda" and query.shape[1] != key.shape[1]:
            keys, values = keys[: self._count, :, : self._longest], values[: self._count, :, : self._longest]
            return self.attend_grouped(query, keys, values, rule)
        outputs = [
            torch.nn.functional.scaled_dot_product_attention(
                rows[i:j],
                keys[i:j, :, :n],
                values[i:j, :, :n],
                attn_mask=bias[i:j, ..., :n],
                scale=rule.scale,
                enable_gqa=query.shape[1] != key.shape[1],
            )
            for i, j, n in self._runs
        ]
        output = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
        return output.transpose(1, 2).transpose(0, 1)

    def attend_grouped(self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, rule: Rule) -> torch.Tensor:
        """The same with the heads that share keys as rows of one query: with a mask, CUDA's fused kernels take no
        grouped heads, and its fallback repeats the pool's keys for every head.
        """
        rows = query[0].transpose(0, 1).unflatten(1, (keys.shape[1], -1))
        bias = self._bias(rule.window, query)
        output = torch.nn.functional.scaled_dot_product_attention(rows, keys, values, attn_mask=bias, scale=rule.scale)
        return output.flatten(1, 2).unsqueeze(0)
