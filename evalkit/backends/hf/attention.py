"""Attention over a pass of the prefix tree, registered in transformers' attention interface.

All tokens of a pass stand in one row [1, tokens]; no token is padding. Each query attends to several sets of keys
(its own causal segment, earlier segments of the pass, the held path), each by one fused call that also returns the
log-sum-exp of its scores, and the partial results are merged exactly: with outputs o1, o2 and log-sum-exps l1, l2
the whole is o1 + sigmoid(l2 - l1) * (o2 - o1) (the merge of FlashAttention's split keys, Dao et al. 2022,
arXiv 2205.14135, section 3.1). Keys of a shared prefix are neither copied nor repeated.

On a GPU hundreds of small calls a layer would take longer to launch than to run: there `packed.attend_packed` does the
same in a few calls for all segments together.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch

from evalkit.backends.hf.kernels import Rule, flash, packs
from evalkit.backends.hf.layout import Call, Layout
from evalkit.backends.hf.packed_attention import Packing, Windowed, attend_packed, attend_windowed
from evalkit.backends.hf.transfer import upload
from evalkit.engine.plan import Pass

NAME = "evalkit_tree"


class Unsupported(Exception):
    """The model's attention asks for something that this implementation does not compute."""


class KeyValueStack:
    """Keys and values of one path, [1, kv_heads, capacity, head_dim] a layer, indexed by position."""

    def __init__(self) -> None:
        self._layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def write(self, layer: int, position: int, key: torch.Tensor, value: torch.Tensor) -> None:
        """Put keys and values [1, kv_heads, n, head_dim] at ``position``."""
        end = position + key.shape[2]
        self.make_room(layer, end, key, value)
        held = self._layers[layer]
        held[0][:, :, position:end] = key
        held[1][:, :, position:end] = value

    def make_room(self, layer: int, end: int, key: torch.Tensor, value: torch.Tensor) -> None:
        """Take the memory for positions [0, end), keeping what is there."""
        held = self._layers.get(layer)
        if held is None or held[0].shape[2] < end:
            self._layers[layer] = self.grown_copy(held, end, key, value)

    def reserve(self, depth: int) -> None:
        """Make all positions [0, depth) readable; what was never written is zero."""
        for layer, held in self._layers.items():
            before = held[0].shape[2]
            if before < depth:
                self._layers[layer] = grown = self.grown_copy(held, depth, *held)
                for tensor in grown:
                    tensor[:, :, before:] = 0

    @staticmethod
    def grown_copy(
        held: tuple[torch.Tensor, torch.Tensor] | None, end: int, key: torch.Tensor, value: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values [1, heads, capacity, width] with room for ``end`` positions, and what was held in them."""
        capacity = max(256, 1 << (end - 1).bit_length())
        grown = tuple(like.new_empty((1, like.shape[1], capacity, like.shape[3])) for like in (key, value))
        if held is not None:
            for old, new in zip(held, grown, strict=True):
                new[:, :, : old.shape[2]] = old
        return grown[0], grown[1]

    def read(self, layer: int, depth: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values at positions [0, depth)."""
        key, value = self._layers[layer]
        return key[:, :, :depth], value[:, :, :depth]

    def size_bytes(self) -> int:
        return sum(t.numel() * t.element_size() for pair in self._layers.values() for t in pair)


@dataclass
class TreeState:
    """One pass on its way through the layers."""

    work: Pass
    stack: KeyValueStack
    device: torch.device
    kept: dict[int, list[tuple[int, torch.Tensor, torch.Tensor]]] = field(default_factory=dict)
    """By layer: (position, keys, values), committed to the stack when the whole pass has succeeded."""
    ended: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    """By layer: all keys and values of the pass, where rows end in it and generation needs their paths."""

    layouts: dict[tuple[int | None, torch.device], Layout] = field(default_factory=dict)
    """By window and device: the calls of the pass."""
    windows: dict[tuple[int, torch.device], Windowed] = field(default_factory=dict)
    """By window and device: the pass as few calls for all segments together."""
    packings: dict[torch.device, Packing] = field(default_factory=dict)
    """By device: the same in layers without a window. Layers of one model may lie on several devices."""

    def layout(self, window: int | None, query: torch.Tensor) -> Layout:
        """The calls of the pass in a layer with this window, for such queries."""
        kind = (window, query.device)
        if kind not in self.layouts:
            self.layouts[kind] = Layout.of(self.work, window, query.dtype, query.device)
        return self.layouts[kind]

    @cached_property
    def reach(self) -> int:
        """Tokens of the longest path in the pass: a window as large takes nothing away."""
        return int(self.work.positions.max()) + 1

    @cached_property
    def positions(self) -> torch.Tensor:
        """Where each token stands in its row."""
        return upload(self.work.positions, self.device)

    def packing(self, device: torch.device) -> Packing:
        """The pass as a few calls for all segments together."""
        if device not in self.packings:
            self.packings[device] = Packing.of(self.work, device)
        return self.packings[device]

    def windowed(self, window: int, device: torch.device) -> Windowed:
        """The same for layers with this window."""
        kind = (window, device)
        if kind not in self.windows:
            self.windows[kind] = Windowed.of(self.work, window, device)
        return self.windows[kind]

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rule: Rule
    ) -> torch.Tensor:
        """Attention of the pass in one layer; see `attend_tree`."""
        return attend_tree(self, layer, query, key, value, rule)

    def commit(self) -> None:
        """Make what was kept the held path. All memory is taken first: a path half written would serve neither this
        pass's successor nor its repetition.
        """
        with torch.inference_mode():
            for layer, pieces in self.kept.items():
                end = max(position + key.shape[2] for position, key, _ in pieces)
                self.stack.make_room(layer, end, *pieces[0][1:])
            for layer, pieces in self.kept.items():
                for position, key, value in pieces:
                    self.stack.write(layer, position, key, value)


_active: list[Any] = []
"""The state of the forward pass under way; attention functions take no argument of ours on every architecture."""


def underway() -> Any:
    """The state of the forward pass under way; None outside of the engine's passes."""
    return _active[-1] if _active else None


class activate:
    """Context manager: attention calls belong to ``state`` (anything with an ``attend`` function, a ``reach`` and the
    ``positions`` [n] of its tokens).
    """

    def __init__(self, state: Any) -> None:
        self._state = state

    def __enter__(self) -> None:
        _active.append(self._state)

    def __exit__(self, *_: object) -> None:
        _active.pop()


def tree_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """The attention function that transformers calls: query [1, heads, n, d] -> [1, n, heads, d]."""
    if kwargs.get("position_bias") is not None:
        raise Unsupported("attention with position_bias")
    if attention_mask is not None:
        raise Unsupported("attention with a mask")
    rule = Rule(scaling, kwargs.get("sliding_window"), kwargs.get("softcap"), kwargs.get("s_aux"))
    return attend(int(module.layer_idx), query, key, value, rule), None  # type: ignore[arg-type]


def attend(layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rule: Rule) -> torch.Tensor:
    """Attention of the forward pass under way: [1, heads, n, d] -> [1, n, heads, width of value]."""
    state = underway()
    if state is None:
        raise Unsupported("a forward pass outside the engine")
    if rule.window is not None and state.reach <= rule.window:
        rule = replace(rule, window=None)
    width = value.shape[-1]
    if width < query.shape[-1]:  # latent attention's values (DeepSeek): zeros beside them change nothing
        if rule.scale is None:
            rule = replace(rule, scale=query.shape[-1] ** -0.5)
        value = torch.nn.functional.pad(value, (0, query.shape[-1] - width))
    elif width > query.shape[-1]:
        raise Unsupported("values wider than keys")
    output: torch.Tensor = state.attend(layer, query, key, value, rule)
    return output[..., :width]


def attend_tree(
    state: TreeState, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rule: Rule
) -> torch.Tensor:
    """Attention of one pass: [1, heads, n, d] -> [1, n, heads, d]."""
    if packs(query) and not rule.by_segment:

        def path(depth: int) -> tuple[torch.Tensor, torch.Tensor]:
            return state.stack.read(layer, depth)

        if rule.window is None:
            output = attend_packed(state.packing(query.device), query, key, value, rule, path)
        else:
            output = attend_windowed(state.windowed(rule.window, query.device), query, key, value, rule, path)
    else:
        output = _attend_by_segment(state, layer, query, key, value, rule)
    if state.work.keeps:
        state.kept[layer] = [
            (keep.position, key[:, :, keep.begin : keep.end].clone(), value[:, :, keep.begin : keep.end].clone())
            for keep in state.work.keeps
        ]
    if state.work.endings:
        state.ended[layer] = (key, value)
    return output


def _attend_by_segment(
    state: TreeState, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rule: Rule
) -> torch.Tensor:
    _, heads, size, width = query.shape
    output = query.new_empty((1, size, heads, width))
    working = torch.promote_types(query.dtype, torch.float32)
    weight = torch.empty((1, heads, size), dtype=working, device=query.device)
    layout = state.layout(rule.window, query)

    def over(call: Call, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        asked, stretch = query[:, :, call.begin : call.end], slice(call.first, call.last)
        return flash(asked, keys[:, :, stretch], values[:, :, stretch], call.causal, rule.scale, rule.cap, call.mask)

    for call in layout.own:
        part, lse = over(call, key, value)
        output[:, call.begin : call.end] = part.transpose(1, 2)
        weight[:, :, call.begin : call.end] = lse
    for batch in layout.batches:
        rows, keys, values = (tensor[0][:, batch.index].transpose(0, 1) for tensor in (query, key, value))
        part, lse = flash(rows, keys, values, batch.mask is None, rule.scale, rule.cap, batch.mask)
        index = batch.index.reshape(-1)
        output[0, index] = part.transpose(1, 2).reshape(-1, heads, width)
        weight[0, :, index] = lse.transpose(0, 1).reshape(heads, -1)
    for call in layout.crosses:
        asked = slice(call.begin, call.end)
        _merge(output[:, asked], weight[:, :, asked], *over(call, key, value))
    for call in layout.held:
        asked = slice(call.begin, call.end)
        _merge(output[:, asked], weight[:, :, asked], *over(call, *state.stack.read(layer, call.last)))
    return rule.sunk(output, weight)


def _merge(output: torch.Tensor, weight: torch.Tensor, part: torch.Tensor, lse: torch.Tensor) -> None:
    """Merge ``part`` [1, heads, n, d] with log-sum-exp ``lse`` [1, heads, n] into ``output`` [1, n, heads, d]."""
    share = torch.sigmoid(lse - weight).transpose(1, 2).unsqueeze(-1)
    output.lerp_(part.transpose(1, 2), share.to(output.dtype))
    torch.logaddexp(weight, lse, out=weight)


def register() -> None:
    """Make the implementation known to transformers under `NAME`; models then build no mask for it."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, tree_attention)
