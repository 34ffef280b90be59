"""Attention layers that do not go through transformers' attention interface, brought to the prefix tree.

Each such class gets its queries, keys and values from its own weights and positions as always; within a pass of the
engine what it does with them is the tree's attention, everywhere else its own code runs. The probe at load compares
the two, as for every model.

Linear biases (ALiBi, arXiv 2108.12409) add slope * position of the key to a score, up to a constant of the query that
the softmax does not see. That is one more coordinate of keys and queries, so nothing else need know of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from evalkit.backends.hf import attention
from evalkit.backends.hf.kernels import HALVES, Rule

Forward = Callable[..., Any]


def adapt(model: Any) -> bool:
    """Bring the attention layers of ``model`` to the tree where their class is known; whether any was."""
    found = [(module, ADAPTERS[type(module).__name__]) for module in model.modules() if _is_known(module)]
    for module, (method, made) in found:
        setattr(module, method, _within_a_pass(made(model, module), getattr(module, method)))
    return bool(found)


def _is_known(module: Any) -> bool:
    return type(module).__name__ in ADAPTERS and type(module).__module__.startswith("transformers.models.")


def _within_a_pass(tree: Forward, own: Forward) -> Forward:
    def forward(*arguments: Any, **settings: Any) -> Any:
        return (own if attention.underway() is None else tree)(*arguments, **settings)

    return forward


def _scores_only(model: Any, module: Any) -> Forward:
    """GPT-J, CodeGen, GPT-Neo: a method takes queries, keys and values [1, heads, n, d]."""
    scale = 1 / float(getattr(module, "scale_attn", 1.0))
    layer = int(getattr(module, "layer_id", None) or getattr(module, "layer_idx", None) or 0)
    local = getattr(module, "attention_type", "global") == "local"

    def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: Any = None) -> Any:
        query, key = query.to(value.dtype), key.to(value.dtype)
        window = module.config.window_size if local else None
        return attention.attend(layer, query, key, value, Rule(scale, window)).transpose(1, 2), None

    return attend


def _bloom(model: Any, module: Any) -> Forward:
    slopes = model.base_model.build_alibi_tensor(torch.ones((1, 2)), module.num_heads, torch.float32)[:, 0, 1]

    def forward(hidden: torch.Tensor, residual: torch.Tensor, *_: Any, **__: Any) -> Any:
        fused = module.query_key_value(hidden).unflatten(-1, (module.num_heads, 3, module.head_dim))
        query, key, value = (part.transpose(1, 2) for part in fused.unbind(-2))
        bias = (slopes.to(hidden.device)[:, None] * _positions(hidden)).to(hidden.dtype)
        output = biased(module.layer_idx, query, key, value, bias, module.inv_norm_factor)
        return residual + module.dense(output), None

    return forward


def _mpt(model: Any, module: Any) -> Forward:
    bias_of_two = model.base_model.build_mpt_alibi_tensor(module.n_heads, 2)
    slopes = bias_of_two[:, 0, 1] - bias_of_two[:, 0, 0]

    def forward(hidden: torch.Tensor, *_: Any, **__: Any) -> Any:
        mixed = module.Wqkv(hidden)
        if module.clip_qkv:
            mixed = mixed.clamp(min=-module.clip_qkv, max=module.clip_qkv)
        parts = (part.unflatten(-1, (module.n_heads, module.head_dim)) for part in mixed.chunk(3, dim=2))
        query, key, value = (part.transpose(1, 2) for part in parts)
        bias = slopes.to(hidden.device)[:, None] * _positions(hidden)
        return module.out_proj(biased(module.layer_idx, query, key, value, bias, module.softmax_scale)), None

    return forward


def _falcon(model: Any, module: Any) -> Forward:
    from transformers.models.falcon.modeling_falcon import apply_rotary_pos_emb, build_alibi_tensor

    slopes = build_alibi_tensor(torch.ones((1, 2), dtype=torch.long), module.num_heads, torch.bfloat16)[:, 0, 1]
    scale = module.inv_norm_factor

    def forward(hidden: torch.Tensor, alibi: Any = None, *_: Any, **settings: Any) -> Any:
        parts = module._split_heads(module.query_key_value(hidden))
        query, key, value = (part.transpose(1, 2) for part in parts)
        if alibi is None:
            query, key = apply_rotary_pos_emb(query, key, *settings["position_embeddings"])
            output = attention.attend(module.layer_idx, query, key, value, Rule(scale)).flatten(2)
        else:  # this model rounds its biases to bfloat16, whatever its own type is
            bias = (slopes.to(hidden.device)[:, None] * _positions(hidden)).to(hidden.dtype) * scale
            output = biased(module.layer_idx, query, key, value, bias, scale)
        return module.dense(output), None

    return forward


def _positions(hidden: torch.Tensor) -> torch.Tensor:
    state = attention.underway()
    assert state is not None
    positions: torch.Tensor = state.positions.to(hidden.device)
    return positions


def biased(
    layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor, scale: float
) -> torch.Tensor:
    """Attention [1, n, heads * d] of the pass under way with ``bias`` [heads, n] of each key added to the scores."""
    left = (bias.float() if bias.dtype in HALVES else bias) / scale
    terms = []
    for _ in range(3 if query.dtype in HALVES else 1):  # a bias of hundreds has more digits than 8 or 11 bits hold
        terms.append(left.to(query.dtype))
        left = left - terms[-1]
    if key.shape[1] != query.shape[1]:
        key, value = (part.repeat_interleave(query.shape[1] // part.shape[1], dim=1) for part in (key, value))
    asked = torch.cat((query, query.new_ones((*query.shape[:-1], len(terms)))), dim=-1)
    known = torch.cat((key, torch.stack(terms, dim=-1)[None]), dim=-1)
    return attention.attend(layer, asked, known, value, Rule(scale)).flatten(2)


ADAPTERS: dict[str, tuple[str, Callable[[Any, Any], Forward]]] = {
    "GPTJAttention": ("_attn", _scores_only),
    "CodeGenAttention": ("_attn", _scores_only),
    "GPTNeoSelfAttention": ("_attn", _scores_only),
    "BloomAttention": ("forward", _bloom),
    "MptAttention": ("forward", _mpt),
    "FalconAttention": ("forward", _falcon),
}
"""By the name of a layer's class in transformers: the method that is replaced, and what makes its replacement."""
