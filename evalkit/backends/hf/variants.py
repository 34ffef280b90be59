"""Variants of a model as it is loaded: quantized weights, adapters, a draft beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from evalkit.backends.hf.fingerprint import folder_hashes
from evalkit.contract.errors import MissingExtra, UserError
from evalkit.spec.models import ModelSpec
from evalkit.text.reading import parse_json, read_json

BITSANDBYTES = ("int8", "nf4", "fp4")
PACKAGES = {
    "gptq": ("gptqmodel", "optimum"),
    "awq": ("gptqmodel",),
    "compressed-tensors": ("compressed_tensors",),
    "bitsandbytes": ("bitsandbytes",),
    "torchao": ("torchao",),
}
"""What transformers needs to load a checkpoint that is quantized already, by its quant_method."""

COMBINED = "evalkit_combined"


@dataclass(frozen=True)
class Adapter:
    """One adapter on disk and its weight in a sum."""

    folder: Path
    config: dict[str, Any]
    weight: float = 1.0

    @property
    def kind(self) -> str:
        """peft's name: LORA, IA3, PREFIX_TUNING, ..."""
        return str(self.config.get("peft_type", "unknown")).upper()

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Shapes of its weights by name."""
        from safetensors import safe_open

        with safe_open(self.folder / "adapter_model.safetensors", "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


# -- quantized ----------------------------------------------------------------------------------------------------


def check_quant(spec: ModelSpec, source: str, device: torch.device) -> None:
    """Raise UserError, before any weight is read, for what cannot be quantized or run quantized here."""
    check_held(spec, source)
    check_setting(spec, device)


def check_held(spec: ModelSpec, source: str) -> None:
    """Raise UserError for a checkpoint that is quantized in a way that cannot be read here. Of a Hub id config.json
    alone is fetched.
    """
    held = _held_quantization(source, spec)
    if held is not None:
        method = str(held.get("quant_method", "unknown"))
        if spec.quant is not None:
            raise UserError(f"--quant {spec.quant}: {spec.name} is quantized already ({method}): leave --quant out")
        for package in PACKAGES.get(method, ()):
            if find_spec(package) is None:
                raise UserError(
                    f"{spec.name}: is quantized with {method}, which needs {package}: "
                    f"pip install {package.replace('_', '-')}"
                )


def check_setting(spec: ModelSpec, device: torch.device) -> None:
    """Raise UserError for a --quant that cannot be here, whatever the model; nothing is looked up for it."""
    if spec.quant is None:
        return
    package = "bitsandbytes" if spec.quant in BITSANDBYTES else "torchao"
    if find_spec(package) is None:
        raise MissingExtra(f"--quant {spec.quant}", package, "quant")
    if device.type == "mps":
        raise UserError(f"--quant {spec.quant}: needs a CUDA device or a CPU, not {device}: add --device cpu")
    if spec.quant == "int4wo":
        if device.type != "cuda":
            raise UserError("--quant int4wo: torchao's int4 kernels need a CUDA device; on a CPU use int8wo or nf4")
        if spec.dtype not in ("auto", "bfloat16", "bf16"):
            raise UserError(f"--quant int4wo: computes in bfloat16, not {spec.dtype}: use --dtype bfloat16")


def _held_quantization(source: str, spec: ModelSpec) -> dict[str, Any] | None:
    """quantization_config of a checkpoint's config.json; for a Hub id only that file is fetched."""
    file = Path(source) / "config.json"
    if not file.is_file():
        try:
            from transformers.utils import cached_file

            file = Path(cached_file(source, "config.json", revision=spec.revision) or "")
        except Exception:
            return None  # loading the weights says what is wrong with the name
    try:
        held = parse_json(file.read_bytes()).get("quantization_config")
    except (OSError, ValueError, AttributeError):
        return None
    return dict(held) if isinstance(held, dict) else None


def quantization(spec: ModelSpec, source: str, dtype: Any, device: torch.device) -> dict[str, Any]:
    """What from_pretrained is told to load quantized weights straight to the device; empty for plain weights."""
    place: dict[str, Any] = {"device_map": {"": device}}
    if spec.quant is None:
        return place if _held_quantization(source, spec) else {}
    if spec.quant in BITSANDBYTES:
        from transformers import BitsAndBytesConfig

        if spec.quant == "int8":
            return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True), **place}
        compute = dtype if isinstance(dtype, torch.dtype) else _compute_dtype(device)
        config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type=spec.quant, bnb_4bit_compute_dtype=compute)
        return {"quantization_config": config, **place}
    from torchao import quantization as ao
    from transformers import TorchAoConfig

    if spec.quant == "int4wo":
        kind: Any = ao.Int4WeightOnlyConfig(int4_packing_format="tile_packed_to_4d")
        return {"quantization_config": TorchAoConfig(kind), **place, "dtype": torch.bfloat16}
    kind = ao.Int8WeightOnlyConfig() if spec.quant == "int8wo" else ao.Int8DynamicActivationInt8WeightConfig()
    return {"quantization_config": TorchAoConfig(kind), **place}


def _compute_dtype(device: torch.device) -> torch.dtype:
    return torch.bfloat16 if device.type == "cuda" else torch.float32


# -- adapters -----------------------------------------------------------------------------------------------------


def find_adapters(spec: ModelSpec) -> list[Adapter]:
    """The adapters that ``spec.peft`` names. Raises UserError for what is none, or cannot be combined."""
    if not spec.peft:
        return []
    if find_spec("peft") is None:
        raise MissingExtra("--peft", "peft", "peft")
    adapters = [_adapter(*_weighted(entry), spec) for entry in spec.peft]
    kinds = sorted({adapter.kind for adapter in adapters})
    if len(adapters) > 1 and kinds != ["LORA"]:
        raise UserError(f"--peft: only LoRA adapters can be added up, these are {', '.join(kinds)}: give one of them")
    if adapters[0].weight != 1.0 and kinds != ["LORA"]:
        raise UserError(f"--peft: only a LoRA adapter takes a weight, this is {kinds[0]}: leave the weight out")
    if spec.peft_merge and adapters[0].config.get("num_virtual_tokens"):
        raise UserError(f"--peft-merge: {kinds[0]} adds tokens, not weights, and cannot be merged: leave it out")
    if spec.peft_merge and spec.quant:
        raise UserError("--peft-merge: merging into quantized weights would round the adapter away: leave it out")
    return adapters


def _weighted(entry: str) -> tuple[str, float]:
    """ "path:0.6" as ("path", 0.6); a colon without a number behind it belongs to the path."""
    path, colon, weight = entry.rpartition(":")
    try:
        return (path, float(weight)) if colon and path else (entry, 1.0)
    except ValueError:
        return entry, 1.0


def _adapter(name: str, weight: float, spec: ModelSpec) -> Adapter:
    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = _download(name)
    if not (folder / "adapter_config.json").is_file():
        raise UserError(f"--peft {name}: has no adapter_config.json: give the folder it was saved to")
    config = read_json(folder / "adapter_config.json", "adapter configuration", "save the adapter again")
    if not isinstance(config, dict):
        raise UserError(f"--peft {name}: adapter_config.json holds no mapping: save the adapter again")
    if not (folder / "adapter_model.safetensors").is_file():
        raise UserError(
            f"--peft {name}: has no adapter_model.safetensors (pickled weights are not loaded): "
            "save the adapter with save_pretrained()"
        )
    return Adapter(folder, config, weight)


def _download(name: str) -> Path:
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise UserError(f"--peft {name}: no such folder: give the adapter's folder, or a Hub id (org/name)")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors"]))
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"--peft {name}: no such folder, and not loaded from the Hub ({reason}): check the path"
        ) from error


def adapted(model: Any, adapters: Sequence[Adapter], merge: bool) -> tuple[Any, dict[str, Any]]:
    """The model with its adapters, and what a run records of them. Raises UserError for one of another base model.

    Several LoRAs become one whose update is exactly the weighted sum of theirs (peft's "cat": their ranks add up).
    """
    base_parameters = model.num_parameters()
    around, names = wrapped(model, adapters)
    weights = [adapter.weight for adapter in adapters]
    if weights != [1.0]:
        combine(around, names, weights)
    around.eval().requires_grad_(False)
    details = describe(adapters, base_parameters)
    if merge:
        return around.merge_and_unload().eval(), {**details, "merged": True}
    if getattr(around.active_peft_config, "is_prompt_learning", False):
        return around, {**details, "virtual_tokens": int(around.active_peft_config.num_virtual_tokens)}
    return around.get_base_model(), details


def wrapped(model: Any, adapters: Sequence[Adapter]) -> tuple[Any, list[str]]:
    """peft's model around ``model`` with every adapter loaded, and their names in it. Raises UserError for one of
    another base model.
    """
    from peft import PeftModel

    names = [f"a{index}" for index in range(len(adapters))]
    around: Any = None
    for name, adapter in zip(names, adapters, strict=True):
        try:
            if around is None:
                around = PeftModel.from_pretrained(model, str(adapter.folder), adapter_name=name)
            else:
                around.load_adapter(str(adapter.folder), adapter_name=name)
        except Exception as error:
            raise _stranger(adapter, " ".join(str(error).split())[:200]) from error
        _check_fit(around, adapter, name)
    return around, names


def combine(around: Any, names: Sequence[str], weights: Sequence[float]) -> None:
    """Make the weighted sum of the named LoRAs the active adapter."""
    around.add_weighted_adapter(list(names), list(weights), COMBINED, combination_type="cat")
    around.set_adapter(COMBINED)


def reweigh(around: Any, names: Sequence[str], weights: Sequence[float]) -> None:
    """The same with other weights."""
    around.set_adapter(names[0])
    around.delete_adapter(COMBINED)
    combine(around, names, weights)
    around.eval().requires_grad_(False)


def _check_fit(around: Any, adapter: Adapter, name: str) -> None:
    """Every tensor of the file must have found its place: peft only warns of those that did not."""
    from peft.utils import get_peft_model_state_dict

    held = {key: tuple(value.shape) for key, value in get_peft_model_state_dict(around, adapter_name=name).items()}
    if odd := sorted(key for key, shape in adapter.tensors().items() if held.get(key) != shape):
        raise _stranger(adapter, f"{len(odd)} of its tensors have no place in this model, for example {odd[0]}")


def _stranger(adapter: Adapter, reason: str) -> UserError:
    base = adapter.config.get("base_model_name_or_path") or "another base model"
    return UserError(
        f"--peft {adapter.folder}: does not fit this model; it was trained on {base} ({reason}): "
        "give --model the adapter's base model"
    )


def describe(adapters: Sequence[Adapter], base_parameters: int) -> dict[str, Any]:
    """Type, parameters, share of all parameters in percent, bytes on disk and weights of the adapters."""
    import math

    own = sum(math.prod(shape) for adapter in adapters for shape in adapter.tensors().values())
    size = sum(file.stat().st_size for adapter in adapters for file in adapter.folder.glob("*.safetensors"))
    return {
        "type": adapters[0].kind,
        "parameters": own,
        "share_percent": round(100 * own / (own + base_parameters), 4),
        "size_bytes": size,
        "adapters": {adapter.folder.name: adapter.weight for adapter in adapters},
        "merged": False,
    }


def adapter_hashes(adapters: Sequence[Adapter]) -> list[dict[str, Any]]:
    """What of the adapters can change an answer: file contents and weights."""
    return [{"files": folder_hashes(adapter.folder), "weight": adapter.weight} for adapter in adapters]
