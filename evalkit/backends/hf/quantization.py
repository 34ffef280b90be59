"""Quantized weights: a model quantized while it loads (--quant), and checkpoints that are quantized already."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from evalkit.backends.hf.packages import BITSANDBYTES, package_of
from evalkit.backends.hf.quiet import no_bars, quiet
from evalkit.contract.errors import MissingExtra, UserError
from evalkit.spec.models import ModelSpec
from evalkit.text.reading import parse_json

HQQ_BITS, HQQ_GROUP = 4, 64
"""Bits of a weight, and weights that share a scale and a zero, with --quant hqq4."""


@dataclass(frozen=True)
class Method:
    """What transformers needs to load a checkpoint of one quant_method."""

    packages: tuple[str, ...] = ()
    cuda: bool = False
    """Whether it runs on CUDA devices only."""
    never: str = ""
    """Why it does not load at all, and what does."""


METHODS = {
    "gptq": Method(("gptqmodel", "optimum")),
    "awq": Method(("gptqmodel",)),
    "compressed-tensors": Method(("compressed_tensors",)),
    "bitsandbytes": Method(("bitsandbytes",)),
    "torchao": Method(("torchao",)),
    "fp8": Method(),
    "mxfp4": Method(),
    "mxfp8": Method(),
    "auto-round": Method(("auto_round",)),
    "aqlm": Method(("aqlm",)),
    "bitnet": Method(),
    "quanto": Method(("optimum.quanto",)),
    "quark": Method(("quark",)),
    "sinq": Method(("sinq",)),
    "fouroversix": Method(("fouroversix",)),
    "metal": Method(),
    "gemma": Method(),
    "eetq": Method(("kernels",), cuda=True),
    "fbgemm_fp8": Method(("fbgemm_gpu",), cuda=True),
    "fp_quant": Method(("fp_quant",), cuda=True),
    "higgs": Method(("flute",), cuda=True),
    "spqr": Method(("spqr_quant",), cuda=True),
    "vptq": Method(("vptq",), cuda=True),
    "hqq": Method(
        never="which transformers does not load any more: give the model that it was made of, with --quant hqq4"
    ),
    "nvfp4": Method(never="which transformers does not load yet: give it to --backend vllm on a Blackwell GPU"),
}
"""By quant_method of config.json, as transformers 5.23 has them (its quantizers' validate_environment); on a CPU, fp8,
mxfp8 and mxfp4 are dequantized as they load."""


def check_quant(spec: ModelSpec, source: str, device: torch.device) -> None:
    """Raise UserError, before any weight is read, for what cannot be quantized or run quantized here."""
    check_held(spec, source, device)
    check_setting(spec, device)


def check_held(spec: ModelSpec, source: str, device: torch.device) -> None:
    """Raise UserError for a checkpoint that is quantized in a way that cannot be read here. Of a Hub id config.json
    alone is fetched.
    """
    held = _held_quantization(source, spec)
    if held is None:
        return
    method = _method(held)
    if spec.quant is not None:
        raise UserError(f"--quant {spec.quant}: {spec.name} is quantized already ({method}): leave --quant out")
    needs = METHODS.get(method) or Method()
    if needs.never:
        raise UserError(f"{spec.name}: is quantized with {method}, {needs.never}")
    if needs.cuda and device.type != "cuda":
        raise UserError(
            f"{spec.name}: is quantized with {method}, whose kernels need a CUDA device, and this runs on {device}: "
            "use a CUDA device, or a GPTQ, AWQ, compressed-tensors or bitsandbytes checkpoint of the model"
        )
    for package in needs.packages:
        if find_spec(package) is None:
            raise UserError(
                f"{spec.name}: is quantized with {method}, which needs {package}: pip install {_distribution(package)}"
            )
    if not _known(held):
        raise UserError(
            f"{spec.name}: its config.json has a quantization_config {_shown(held)}, which transformers does not know "
            "and would load as plain weights: give a checkpoint of another method; if the weights are not quantized, "
            "take quantization_config out of config.json"
        )


def _method(held: dict[str, Any]) -> str:
    """The method that a quantization_config names; bitsandbytes' older ones name none."""
    older = held.get("load_in_8bit") or held.get("load_in_4bit")
    return str(held.get("quant_method", "bitsandbytes" if older else "unknown"))


def _shown(held: dict[str, Any]) -> str:
    method = held.get("quant_method")
    if method == "bitsandbytes":
        return "of bitsandbytes without load_in_4bit or load_in_8bit"
    return "without a quant_method" if method is None else f"of the quant_method {method!r:.60}"


def _known(held: dict[str, Any]) -> bool:
    """Whether transformers, or a package that registered with it, takes this quantization_config."""
    try:
        with quiet():  # its warning is ours to give, and notes on kernels for other devices are nobody's
            from transformers.quantizers.auto import AutoHfQuantizer

            return bool(AutoHfQuantizer.supports_quant_method(held))
    except (TypeError, ValueError):
        return False


def _distribution(package: str) -> str:
    """The name by which pip knows a package that is imported by another."""
    return {"optimum.quanto": "optimum-quanto", "fbgemm_gpu": "fbgemm-gpu-genai", "quark": "amd-quark"}.get(
        package, package.replace("_", "-")
    )


def check_setting(spec: ModelSpec, device: torch.device) -> None:
    """Raise UserError for a --quant that cannot be here, whatever the model; nothing is looked up for it."""
    if spec.quant is None:
        return
    package = package_of(spec.quant)
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


def held_words(config: Any) -> str | None:
    """A checkpoint's own quantization as a run records it: its method, and its format where it names one."""
    held = getattr(config, "quantization_config", None)
    if held is None:
        return None
    told = held if isinstance(held, dict) else held.to_dict()
    method, form = told.get("quant_method"), told.get("format")
    method = str(getattr(method, "value", method))
    return f"{method} ({form})" if form and str(form) != method else method


def rounds_activations(config: Any, quant: str | None) -> bool:
    """Whether a model rounds what goes into its layers to 8 bits, and not its weights alone."""
    held = getattr(config, "quantization_config", None)
    told = held if isinstance(held, dict) or held is None else held.to_dict()
    groups = (told or {}).get("config_groups") or {}
    rounded = any(isinstance(one, dict) and one.get("input_activations") for one in groups.values())
    return rounded or quant in ("int8", "int8da")


def settle(model: Any) -> None:
    """Have compressed-tensors decompress its weights now: it does so in the first forward pass, in which its progress
    bar would stand among a run's own lines, and what weights take would be measured before.
    """
    if (held_words(model.config) or "").startswith("compressed-tensors"):
        first = torch.zeros((1, 1), dtype=torch.long, device=model.get_input_embeddings().weight.device)
        with no_bars(), torch.inference_mode():
            model(input_ids=first, use_cache=False)


def unpacked(model: Any) -> None:
    """Have bitsandbytes compute 4-bit layers whose rows are no whole number of its blocks without packing them: on
    processors with AVX512-BF16 it packs every layer in the first forward pass, and fails on these.
    """
    module: Any
    for module in model.modules():
        block = getattr(getattr(getattr(module, "weight", None), "quant_state", None), "blocksize", None)
        if block and module.in_features % block:
            module.support_avx512bf16_for_cpu = False


def quantization(spec: ModelSpec, source: str, dtype: Any, device: torch.device) -> dict[str, Any]:
    """What from_pretrained is told to load quantized weights straight to the device; empty for plain weights."""
    place: dict[str, Any] = {"device_map": {"": device}}
    if spec.quant is None:
        return place if _held_quantization(source, spec) else {}
    if spec.quant == "hqq4":
        return {}
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


def by_hqq(model: Any, device: torch.device) -> None:
    """Quantize the linear layers of a loaded model but its head by half-quadratic quantization (HQQ; Badri and Shaji
    2023, mobiusml.github.io/hqq_blog), which looks at the weights alone.
    """
    from hqq.core.quantize import BaseQuantizeConfig, HQQLinear

    head = model.get_output_embeddings()
    layers = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) is torch.nn.Linear and child is not head and child.weight.numel() % HQQ_GROUP == 0
    ]
    for parent, name, linear in layers:
        settings = BaseQuantizeConfig(nbits=HQQ_BITS, group_size=HQQ_GROUP)
        made = HQQLinear(linear, settings, compute_dtype=linear.weight.dtype, device=str(device), del_orig=True)
        setattr(parent, name, made)


def _compute_dtype(device: torch.device) -> torch.dtype:
    return torch.bfloat16 if device.type == "cuda" else torch.float32
