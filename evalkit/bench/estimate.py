"""`evalkit estimate`: what a model takes, from its configuration alone; no weight is read.

Weights: parameters times bytes. Keys and values of a token: 2 x layers x kv_heads x head_dim x bytes, where kv_heads
equals the heads (multi-head), divides them (grouped, arXiv 2305.13245) or is one (multi-query, arXiv 1911.02150).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evalkit.backends.hf.local_files import local_folder
from evalkit.backends.hf.quiet import quiet
from evalkit.contract.errors import MissingExtra, UserError
from evalkit.spec.models import ModelSpec

DEVICES_GB = {
    "8 GB": 8,
    "16 GB": 16,
    "24 GB": 24,
    "40 GB": 40,
    "48 GB": 48,
    "80 GB": 80,
    "141 GB": 141,
    "192 GB": 192,
}
"""Memory sizes of common devices, in GiB."""

BITS = {"int8": 8.0, "int8wo": 8.0, "int8da": 8.0, "nf4": 4.5, "fp4": 4.5, "int4wo": 4.25, "hqq4": 5.0}
"""Bits a quantized weight takes with its scales: one float32 a block of 64 (nf4, fp4), two bfloat16 a group of
128 (int4wo), two float32 a group of 64 (hqq4)."""


@dataclass(frozen=True)
class Estimate:
    """Bytes of a model at a context length and batch size. ``activation_bytes``: of one prefill pass."""

    model: str
    dtype: str
    parameters: int
    weight_bytes: int
    attention: str
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    kv_bytes_per_token: int
    context: int
    batch: int
    kv_bytes: int
    activation_bytes: int
    total_bytes: int
    fits: dict[str, bool]
    """By device size and for this machine's device."""

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def estimate(spec: ModelSpec, context: int, batch: int) -> Estimate:
    """What ``spec`` takes for ``batch`` sequences of ``context`` tokens. Raises UserError for an unknown model."""
    try:
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM
    except ImportError as error:
        raise MissingExtra("evalkit estimate", error.name or "torch", "hf") from error
    from evalkit.backends.hf import memory
    from evalkit.backends.hf.prefix_forward import HEAD_ROWS

    source = _config_folder(spec) or local_folder(spec) or spec.name
    try:
        config = AutoConfig.from_pretrained(source, revision=spec.revision, trust_remote_code=False)
        with quiet(), torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
        model.tie_weights()
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{spec.name}: its configuration cannot be read ({reason}): check the name or folder"
        ) from error
    dtype = _dtype(spec, config)
    parameters = sum(p.numel() for p in model.parameters())
    text = config.get_text_config()
    sizes = memory.footprint(config, dtype, HEAD_ROWS)
    heads = getattr(text, "num_attention_heads", None) or 0
    kv_heads = getattr(text, "num_key_value_heads", None) or heads
    window = memory.CUDA_BUDGET if torch.cuda.is_available() else memory.CPU_BUDGET
    activations = min(context * batch, window) * sizes.activation + sizes.logits
    weights = _weight_bytes(model, dtype, spec.quant)
    key_values = sizes.key_value * context * batch
    total = weights + key_values + activations
    here = memory.available(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    return Estimate(
        model=spec.label or spec.name,
        dtype=str(dtype).removeprefix("torch.") + (f", {spec.quant}" if spec.quant else ""),
        parameters=parameters,
        weight_bytes=weights,
        attention="multi-head" if kv_heads == heads else "multi-query" if kv_heads == 1 else "grouped",
        layers=int(text.num_hidden_layers),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=getattr(text, "head_dim", None) or (text.hidden_size // heads if heads else 0),
        kv_bytes_per_token=sizes.key_value,
        context=context,
        batch=batch,
        kv_bytes=key_values,
        activation_bytes=activations,
        total_bytes=total,
        fits={**{name: total < 0.92 * gib * 2**30 for name, gib in DEVICES_GB.items()}, "this machine": total < here},
    )


def _config_folder(spec: ModelSpec) -> Path | None:
    """A folder with a configuration but perhaps no weights: enough to estimate."""
    path = Path(spec.name).expanduser()
    return path if (path / "config.json").is_file() else None


def _dtype(spec: ModelSpec, config: Any) -> Any:
    import torch

    from evalkit.backends.hf.loading import DTYPES

    asked = DTYPES.get(spec.dtype)
    if asked is None:
        raise UserError(f"--dtype {spec.dtype}: unknown; one of {', '.join(DTYPES)}")
    if isinstance(asked, torch.dtype):
        return asked
    held = getattr(config, "dtype", None)
    return held if isinstance(held, torch.dtype) else torch.float32


def _weight_bytes(model: Any, dtype: Any, quant: str | None) -> int:
    """Quantization changes the linear layers; embeddings and the output head keep their type."""
    import torch

    whole = sum(p.numel() for p in model.parameters()) * dtype.itemsize
    if quant is None:
        return whole
    head = model.get_output_embeddings()
    linear = sum(m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not head)
    return int(whole - linear * dtype.itemsize + linear * BITS[quant] / 8)
