"""Exact attention with the log-sum-exp of its scores, by the fastest operator that a device has.

What PyTorch's operators ask for and give (torch 2.8 to 2.13, aten/src/ATen/native/transformers):

* All of them give natural logarithms. Causal means that row i sees columns 0 to i; here a causal call has as many
  rows as columns, so it does not matter at which corner an operator aligns the mask.
* CPU: `_scaled_dot_product_flash_attention_for_cpu`, any head width, grouped query heads native.
* CUDA, float16 and bfloat16 from compute capability 8.0 on: `_scaled_dot_product_flash_attention`, head widths up to
  256 in multiples of 8 (the operator does not pad: its caller must), grouped query heads native.
  `_flash_attention_forward` takes many runs of different lengths in one call (`packed`), and a window; with fewer rows
  than columns it aligns causality at the lower right corner.
* CUDA otherwise: `_scaled_dot_product_efficient_attention`: as many key heads as query heads, strides in multiples of
  4 or 8 elements, and log-sum-exps whose rows are padded to a multiple of 32.
* Everything else (MPS, XPU, float64 on CUDA), capped scores anywhere, and masks that are not on a CPU: the formula.
  The CPU's operator takes a mask of the query's type; a row that sees nothing gets a log-sum-exp of 0, not -inf.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch

from evalkit.backends.hf.transfer import upload

Pair = tuple[torch.Tensor, torch.Tensor]
HALVES = (torch.float16, torch.bfloat16)

ALIGNMENT = 8
"""Head widths on CUDA are padded to a multiple of this."""
WIDEST_FLASH = 256
"""The largest head width of CUDA's flash attention."""
FORMULA_SCORES = 1 << 24
"""Scores that the formula holds at a time."""


@dataclass(frozen=True)
class Rule:
    """How a layer makes its scores, beside causality.

    ``scale``: their factor (None: one over the root of the width); ``window``: a query sees so many tokens back,
    itself included (None: all); ``cap``: scores s become cap * tanh(s / cap) (Gemma 2, arXiv 2408.00118, section 2);
    ``sinks`` [heads]: one more score a head that takes part in the softmax and has no value (gpt-oss).
    """

    scale: float | None = None
    window: int | None = None
    cap: float | None = None
    sinks: torch.Tensor | None = None

    @property
    def by_segment(self) -> bool:
        """Whether no call for many segments at once computes it."""
        return self.cap is not None

    def sunk(self, output: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
        """``output`` [..., n, heads, d] over scores of log-sum-exp ``total`` [..., heads, n], with the sinks in it."""
        if self.sinks is None:
            return output
        share = torch.sigmoid(total - self.sinks.to(total.dtype)[:, None])
        return output * share.transpose(-1, -2).unsqueeze(-1).to(output.dtype)


def flash(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, causal: bool, scale: float | None,
    cap: float | None = None, mask: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Attention of [b, heads, n, d] over [b, kv_heads, m, d] with its log-sum-exp [b, heads, n], in float32 or
    better. A causal call has m = n and no mask. ``mask``: [n, m] or [b, 1, n, m], of the query's type, added to the
    scores; each row sees something.
    """
    if cap is not None or (mask is not None and query.device.type != "cpu"):
        return formula(query, key, value, causal, scale, cap, mask)
    if query.device.type == "cpu":
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, causal, attn_mask=mask, scale=scale
        )
    kind = _cuda_kernel(query.device, query.dtype, query.shape[-1]) if query.device.type == "cuda" else "formula"
    if kind == "flash":
        return cuda_flash(query, key, value, causal, scale)
    if kind == "efficient":
        return cuda_efficient(query, key, value, causal, scale)
    return formula(query, key, value, causal, scale)


@lru_cache
def _cuda_kernel(device: torch.device, dtype: torch.dtype, width: int) -> Literal["flash", "efficient", "formula"]:
    ampere = torch.cuda.get_device_capability(device)[0] >= 8
    if dtype in HALVES and ampere and width <= WIDEST_FLASH and torch.backends.cuda.is_flash_attention_available():
        return "flash"
    return "efficient" if dtype in (torch.float32, torch.float16) or (dtype in HALVES and ampere) else "formula"


def cuda_flash(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, causal: bool, scale: float | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """`flash` by FlashAttention-2 (Dao, arXiv 2307.08691)."""
    width, scale = query.shape[-1], _scale(query, scale)
    query, key, value = map(_aligned, (query, key, value))
    result = torch.ops.aten._scaled_dot_product_flash_attention(query, key, value, 0.0, causal, False, scale=scale)
    return result[0][..., :width], result[1][:, :, : query.shape[2]]


def cuda_efficient(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, causal: bool, scale: float | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """`flash` by memory-efficient attention (Rabe and Staats, arXiv 2112.05682)."""
    width, scale, groups = query.shape[-1], _scale(query, scale), query.shape[1] // key.shape[1]
    query, key, value = map(_aligned, (query, key, value))
    if groups > 1:
        key, value = (tensor.repeat_interleave(groups, dim=1) for tensor in (key, value))
    result = torch.ops.aten._scaled_dot_product_efficient_attention(
        query, key, value, None, True, 0.0, causal, scale=scale
    )
    return result[0][..., :width], result[1][:, :, : query.shape[2]]


def formula(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, causal: bool, scale: float | None,
    cap: float | None = None, mask: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """`flash` written out, some rows at a time; softmax in float32 or better. The reference in tests."""
    batch, heads, rows, _ = query.shape
    kv_heads, columns = key.shape[1], key.shape[2]
    working = torch.promote_types(query.dtype, torch.float32)
    grouped = (query * _scale(query, scale)).unflatten(1, (kv_heads, heads // kv_heads))
    keys = key.transpose(-1, -2)
    outputs, sums = [], []
    step = max(1, FORMULA_SCORES // max(1, batch * heads * columns))
    for begin in range(0, rows, step):
        asked = grouped[..., begin : begin + step, :]
        scores = (asked.flatten(2, 3) @ keys).unflatten(2, asked.shape[2:4]).to(working)
        if cap is not None:
            scores = scores.div_(cap).tanh_().mul_(cap)
        if mask is not None:
            seen = mask[..., begin : begin + step, :]
            scores += seen if seen.dim() == 2 else seen.unsqueeze(1)
        if causal:
            unseen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril(begin).logical_not_()
            scores.masked_fill_(unseen, float("-inf"))
        total = scores.logsumexp(-1)
        weights = scores.sub_(total.unsqueeze(-1)).exp_().to(value.dtype)
        outputs.append((weights.flatten(2, 3) @ value).unflatten(2, asked.shape[2:4]))
        sums.append(total)
    return torch.cat(outputs, dim=-2).flatten(1, 2), torch.cat(sums, dim=-1).flatten(1, 2)


@dataclass(frozen=True)
class Runs:
    """Rows of a packed tensor as runs that tile it: ``lengths`` in order, the ``longest`` of them, and where each
    begins and ends as int32 [runs + 1] on the device.
    """

    lengths: tuple[int, ...]
    longest: int
    offsets: torch.Tensor

    @classmethod
    def of(cls, lengths: tuple[int, ...], device: torch.device) -> Runs:
        """Runs of these lengths, each at least 1 (an operator's log-sum-exp over no keys is not defined)."""
        return cls(lengths, max(lengths), upload(np.cumsum((0, *lengths), dtype=np.int32), device))


def packs(query: torch.Tensor) -> bool:
    """Whether `packed` is one call on the query's device, in its dtype and at its head width [..., d]."""
    if query.device.type != "cuda" or torch.version.hip:
        return False
    return _cuda_kernel(query.device, query.dtype, query.shape[-1]) == "flash"


def packed(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rows: Runs, columns: Runs, causal: bool,
    scale: float | None, window: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Attention of each run of ``query`` [n, heads, d] over the run of the same number of ``key`` and ``value``
    [m, kv_heads, d]: [n, heads, d], and its log-sum-exp [heads, n]. The rows of a causal run are the last of its keys;
    with a ``window``, which asks for a causal run, each sees so many of them, itself included.
    """
    if packs(query):
        return cuda_packed(query, key, value, rows, columns, causal, scale, window)
    outputs, sums = [], []
    parts = (query.split(rows.lengths), key.split(columns.lengths), value.split(columns.lengths))
    for one in zip(*parts, strict=True):
        rows_of_one, keys, values = (tensor.transpose(0, 1).unsqueeze(0) for tensor in one)
        if causal and (window is not None or keys.shape[2] != rows_of_one.shape[2]):
            mask = lower_right(rows_of_one.shape[2], keys.shape[2], window).to(query.device, query.dtype)
            output, total = flash(rows_of_one, keys, values, False, scale, mask=mask)
        else:
            output, total = flash(rows_of_one, keys, values, causal, scale)
        outputs.append(output[0].transpose(0, 1))
        sums.append(total[0])
    return torch.cat(outputs), torch.cat(sums, dim=-1)


def cuda_packed(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rows: Runs, columns: Runs, causal: bool,
    scale: float | None, window: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """`packed` by FlashAttention-2's kernel for runs of different lengths."""
    width, scale = query.shape[-1], _scale(query, scale)
    query, key, value = map(_aligned, (query, key, value))
    # With one row a run the operator would take a path meant for decoding: two as the bound keeps it on this one.
    result = torch.ops.aten._flash_attention_forward(
        query, key, value, rows.offsets, columns.offsets, max(2, rows.longest), max(2, columns.longest),
        0.0, causal, False, scale=scale, window_size_left=None if window is None else window - 1,
    )  # fmt: skip
    return result[0][..., :width], result[1]


def lower_right(rows: int, columns: int, window: int | None) -> torch.Tensor:
    """What the last ``rows`` of ``columns`` tokens see, as a mask [rows, columns] to be added to scores."""
    back = torch.arange(columns - rows, columns)[:, None] - torch.arange(columns)
    hidden = (back < 0) | (back >= (window or columns))
    return torch.zeros(rows, columns).masked_fill_(hidden, float("-inf"))


def _scale(query: torch.Tensor, scale: float | None) -> float:
    """The factor of the scores; padding must not change it."""
    return query.shape[-1] ** -0.5 if scale is None else scale


def _aligned(tensor: torch.Tensor) -> torch.Tensor:
    """With heads padded by zeros to a width that CUDA's kernels take, and contiguous."""
    if extra := -tensor.shape[-1] % ALIGNMENT:
        tensor = torch.nn.functional.pad(tensor, (0, extra))
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()
