"""How much fits: a model of memory, checked against the device, and what running out of it looks like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

CPU_BUDGET = 768
"""Tokens of a pass on CPU: throughput is flat from about 500 on (docs/performance.md) and memory is not."""
CUDA_BUDGET = 16_384
OFFLOADED_BUDGET = 4096
"""The same on a CPU where a pass reads weights from disk."""
SLACK = 0.85
"""Share of the free memory that is planned with; the rest is the allocator's."""


@dataclass(frozen=True)
class Footprint:
    """Bytes, from the model's configuration: of one token's keys and values over all layers, of one token's
    activations in a pass, and of the logits that exist at a time.
    """

    key_value: int
    activation: int
    logits: int

    def predict(self, budget: int, depth: int, slots: int = 0) -> int:
        """Peak bytes beside the weights: ``budget`` tokens in flight, ``depth`` held, ``slots`` tokens decoding."""
        return budget * (self.activation + self.key_value) + (depth + slots) * self.key_value + self.logits


def stored_bytes(tensor: Any) -> int:
    """Bytes that a tensor holds. A tensor made of others (torchao's quantized ones) tells the size of what it stands
    for, so that its parts are counted.
    """
    if not hasattr(tensor, "__tensor_flatten__"):
        return int(tensor.nbytes)
    names, _ = tensor.__tensor_flatten__()
    return sum(stored_bytes(getattr(tensor, name)) for name in names)


def footprint(config: Any, dtype: torch.dtype, head_rows: int) -> Footprint:
    """The footprint of a decoder from its transformers configuration (the text part of a composite one)."""
    config = config.get_text_config()
    width = dtype.itemsize
    heads = getattr(config, "num_attention_heads", None) or 1  # state-space models have none
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    key_value = 2 * config.num_hidden_layers * kv_heads * head_dim * width
    activation = width * (6 * config.hidden_size + 3 * inner + 4 * heads * head_dim + 4 * kv_heads * head_dim)
    return Footprint(key_value, activation, 3 * head_rows * config.vocab_size * 4)


def available(device: torch.device, others: Sequence[torch.device] = ()) -> int:
    """Bytes free on the device (host memory for CPU and MPS); with ``others``, on that with the least."""
    if others:
        return min(available(one) for one in (device, *others))
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    import psutil

    return int(psutil.virtual_memory().available)


def pass_tokens(device: torch.device, offloaded: bool = False) -> int:
    """Tokens of a pass from which on more save no time; ``offloaded``: weights are moved to it in every pass."""
    if device.type == "cuda":
        return CUDA_BUDGET
    return OFFLOADED_BUDGET if offloaded else CPU_BUDGET


def token_budget(
    sizes: Footprint,
    device: torch.device,
    depth: int,
    limit_gb: float | None = None,
    others: Sequence[torch.device] = (),
    offloaded: bool = False,
) -> int:
    """Tokens of one pass: as many as pay off on the device and fit beside ``depth`` held tokens, on ``others`` that
    have layers of the model too.
    """
    most = pass_tokens(device, offloaded)
    free = available(device, others) * SLACK
    if limit_gb is not None:
        free = min(free, limit_gb * 2**30)
    free -= sizes.logits + depth * sizes.key_value
    fits = int(free // (sizes.activation + sizes.key_value))
    return max(16, min(most, fits))


def decode_slots(
    sizes: Footprint,
    device: torch.device,
    length: int,
    limit_gb: float | None = None,
    others: Sequence[torch.device] = (),
) -> int:
    """Live sequences of up to ``length`` tokens that fit in a quarter of the free memory, at most 64 (CPU) or 256."""
    free = available(device, others) * 0.25
    if limit_gb is not None:
        free = min(free, limit_gb * 2**30 * 0.5)
    most = 256 if device.type == "cuda" else 64
    return max(1, min(most, int(free // max(1, length * sizes.key_value))))


def release(device: torch.device) -> None:
    """Give back what the allocator keeps in pieces too small for the next try. Call it outside of the ``except``
    that caught the error: its traceback holds the tensors of the pass that failed.
    """
    if device.type == "cuda":
        torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on any device."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)
