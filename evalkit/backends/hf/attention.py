"""Attention over a pass of the prefix tree, registered in transformers' attention interface.

All tokens of a pass stand in one row [1, tokens]; no token is padding. Each query attends to several sets of keys
(its own causal segment, earlier segments of the pass, the held path), each by one fused call that also returns the
log-sum-exp of its scores, and the partial results are merged exactly: with outputs o1, o2 and log-sum-exps l1, l2
the whole is o1 + sigmoid(l2 - l1) * (o2 - o1) (the merge of FlashAttention's split keys, Dao et al. 2022,
arXiv 2205.14135, section 3.1). Keys of a shared prefix are neither copied nor repeated.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import torch

from evalkit.engine.plan import Pass

NAME = "evalkit_tree"

SMALL_SEGMENT = 96
"""Segments up to this many tokens are batched with others of the same length."""


class Unsupported(Exception):
    """The model's attention asks for something that this implementation does not compute."""


class KeyValueStack:
    """Keys and values of one path, [1, kv_heads, capacity, head_dim] a layer, indexed by position."""

    def __init__(self) -> None:
        self._layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def write(self, layer: int, position: int, key: torch.Tensor, value: torch.Tensor) -> None:
        """Put keys and values [1, kv_heads, n, head_dim] at ``position``."""
        end = position + key.shape[2]
        held = self._layers.get(layer)
        if held is None or held[0].shape[2] < end:
            held = self._grow(held, end, key, value)
            self._layers[layer] = held
        held[0][:, :, position:end] = key
        held[1][:, :, position:end] = value

    def reserve(self, depth: int) -> None:
        """Make all positions [0, depth) readable; what was never written is zero."""
        for layer, held in self._layers.items():
            before = held[0].shape[2]
            if before < depth:
                self._layers[layer] = grown = self._grow(held, depth, *held)
                for tensor in grown:
                    tensor[:, :, before:] = 0

    @staticmethod
    def _grow(
        held: tuple[torch.Tensor, torch.Tensor] | None, end: int, key: torch.Tensor, value: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
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
    single: list[tuple[int, int]] = field(default_factory=list)
    batched: list[torch.Tensor] = field(default_factory=list)
    """Index tensors [segments, length] of equally long small segments."""
    kept: dict[int, list[tuple[int, torch.Tensor, torch.Tensor]]] = field(default_factory=dict)
    """By layer: (position, keys, values), committed to the stack when the whole pass has succeeded."""
    ended: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    """By layer: all keys and values of the pass, where rows end in it and generation needs their paths."""

    def __post_init__(self) -> None:
        by_length: dict[int, list[int]] = defaultdict(list)
        for begin, end in self.work.segments:
            if end - begin > SMALL_SEGMENT:
                self.single.append((begin, end))
            else:
                by_length[end - begin].append(begin)
        for length, begins in by_length.items():
            if len(begins) == 1:
                self.single.append((begins[0], begins[0] + length))
            else:
                starts = torch.tensor(begins, device=self.device)
                self.batched.append(starts[:, None] + torch.arange(length, device=self.device))

    def commit(self) -> None:
        """Make what was kept the held path."""
        with torch.inference_mode():
            for layer, pieces in self.kept.items():
                for position, key, value in pieces:
                    self.stack.write(layer, position, key, value)


_active: list[Any] = []
"""The state of the forward pass under way; attention functions take no argument of ours on every architecture."""


class activate:
    """Context manager: attention calls belong to ``state`` (anything with an ``attend`` function)."""

    def __init__(self, state: Any) -> None:
        self._state = state

    def __enter__(self) -> None:
        _active.append(self._state)

    def __exit__(self, *_: object) -> None:
        _active.pop()


def flash(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, causal: bool, scale: float | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention of [b, heads, n, d] over [b, kv_heads, m, d] with its log-sum-exp [b, heads, n] in float32.

    A causal call has m = n. Grouped query heads are native on CPU and on CUDA's flash kernel.
    """
    if query.device.type == "cpu":
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(query, key, value, 0.0, causal, scale=scale)
    if query.device.type == "cuda" and query.dtype in (torch.float16, torch.bfloat16):
        key, value = _repeat(key, query), _repeat(value, query)
        result = torch.ops.aten._scaled_dot_product_flash_attention(query, key, value, 0.0, causal, False, scale=scale)
        return result[0], result[1][:, :, : query.shape[2]]
    if query.device.type == "cuda":
        key, value = _repeat(key, query), _repeat(value, query)
        result = torch.ops.aten._scaled_dot_product_efficient_attention(
            query, key, value, None, True, 0.0, causal, scale=scale
        )
        return result[0], result[1][:, :, : query.shape[2]]
    return plain(query, key, value, causal, scale)


def plain(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, causal: bool, scale: float | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """`flash` by its formula, for devices without a fused kernel; the reference in tests."""
    scores = query @ _repeat(key, query).transpose(-1, -2) * (scale or query.shape[-1] ** -0.5)
    if causal:
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(hidden, float("-inf"))
    return scores.softmax(-1) @ _repeat(value, query), scores.float().logsumexp(-1)


def _repeat(tensor: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    groups = query.shape[1] // tensor.shape[1]
    return tensor if groups == 1 else tensor.repeat_interleave(groups, dim=1)


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
    for unknown in ("softcap", "sliding_window", "s_aux", "position_bias"):
        if kwargs.get(unknown) is not None:
            raise Unsupported(f"attention with {unknown}")
    if attention_mask is not None:
        raise Unsupported("attention with a mask")
    if query.shape[-1] != value.shape[-1]:
        raise Unsupported("keys and values of different widths")
    if not _active:
        raise Unsupported("a forward pass outside the engine")
    return _active[-1].attend(int(module.layer_idx), query, key, value, scaling), None  # type: ignore[arg-type]


def attend_tree(
    state: TreeState, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None
) -> torch.Tensor:
    """Attention of one pass: [1, heads, n, d] -> [1, n, heads, d]."""
    _, heads, size, width = query.shape
    output = query.new_empty((1, size, heads, width))
    weight = torch.empty((1, heads, size), dtype=torch.float32, device=query.device)
    for begin, end in state.single:
        part, lse = flash(query[:, :, begin:end], key[:, :, begin:end], value[:, :, begin:end], True, scale)
        output[:, begin:end] = part.transpose(1, 2)
        weight[:, :, begin:end] = lse
    for index in state.batched:
        part, lse = flash(
            query[0][:, index].transpose(0, 1), key[0][:, index].transpose(0, 1), value[0][:, index].transpose(0, 1),
            True, scale,
        )  # fmt: skip
        output[0, index.reshape(-1)] = part.transpose(1, 2).reshape(-1, heads, width)
        weight[0, :, index.reshape(-1)] = lse.transpose(0, 1).reshape(heads, -1)
    for cross in state.work.crosses:
        a, b = cross.query_begin, cross.query_end
        keys, values = key[:, :, cross.key_begin : cross.key_end], value[:, :, cross.key_begin : cross.key_end]
        _merge(output[:, a:b], weight[:, :, a:b], *flash(query[:, :, a:b], keys, values, False, scale))
    for held in state.work.held:
        a, b = held.query_begin, held.query_end
        keys, values = state.stack.read(layer, held.depth)
        _merge(output[:, a:b], weight[:, :, a:b], *flash(query[:, :, a:b], keys, values, False, scale))
    if state.work.keeps:
        state.kept[layer] = [
            (keep.position, key[:, :, keep.begin : keep.end].clone(), value[:, :, keep.begin : keep.end].clone())
            for keep in state.work.keeps
        ]
    if state.work.endings:
        state.ended[layer] = (key, value)
    return output


def _merge(output: torch.Tensor, weight: torch.Tensor, part: torch.Tensor, lse: torch.Tensor) -> None:
    """Merge ``part`` [1, heads, n, d] with log-sum-exp ``lse`` [1, heads, n] into ``output`` [1, n, heads, d]."""
    share = torch.sigmoid(lse - weight).transpose(1, 2).unsqueeze(-1)
    output.lerp_(part.transpose(1, 2), share.to(output.dtype))
    torch.logaddexp(weight, lse, out=weight)


def register() -> None:
    """Make the implementation known to transformers under `NAME`; models then build no mask for it."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, tree_attention)
