"""Quantize a model in the ways that checkpoints on the Hub come in, for examples/variants.yaml and the tests.

    python scripts/quantize.py --model smollm2-135m --output quantized                 # all, some minutes on two cores
    python scripts/quantize.py --only gptq,hqq --output quantized
    python scripts/quantize.py --list                                                  # each, and the package it needs

Every checkpoint is what its own library saves: config.json has a quantization_config, and transformers loads it
without a flag. Methods that look at activations are calibrated on bundled items of boolq and triviaqa, which are of our
own writing: enough to run, less than the hundreds of long texts that a checkpoint for use is made with. Each kind is
made in a process of its own, because these libraries change each other's and transformers' classes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from train_adapters import texts

from evalkit.backends.hf.local_files import local_folder
from evalkit.spec.models import ModelSpec

GROUP = 32
"""Weights that share a scale; divides every width of SmolLM2 (128, the usual number, does not divide 576)."""
TOKENS = 256
"""Longest calibration text, in tokens."""


def calibration() -> list[str]:
    """Questions with their answers, the longer ones first."""
    return texts("boolq") + texts("triviaqa")


def gptq(source: Path, target: Path) -> None:
    """GPTQ (arXiv 2210.17323), 4 bits."""
    _by_gptqmodel(source, target, "gptq")


def awq(source: Path, target: Path) -> None:
    """AWQ (arXiv 2306.00978), 4 bits."""
    _by_gptqmodel(source, target, "awq")


def _by_gptqmodel(source: Path, target: Path, method: str) -> None:
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")  # by itself it starts one on two cores, and then wants two
    from gptqmodel import BACKEND, GPTQModel, QuantizeConfig

    settings: dict[str, Any] = {"bits": 4, "group_size": GROUP}
    if method == "awq":
        settings |= {"quant_method": "awq", "format": "gemm"}
    model = GPTQModel.load(str(source), QuantizeConfig(**settings), device="cpu")
    backend = BACKEND.AWQ_TORCH if method == "awq" else BACKEND.AUTO  # by itself it takes a kernel of CUDA's for AWQ
    model.quantize(calibration(), batch_size=1, backend=backend)
    model.save(str(target))


def w8a8(source: Path, target: Path) -> None:
    """compressed-tensors: weights and activations in 8-bit integers, activations scaled token by token."""
    _by_llmcompressor(source, target, "W8A8", gptq=True)


def w4a16(source: Path, target: Path) -> None:
    """compressed-tensors: 4-bit weights in groups, by GPTQ."""
    _by_llmcompressor(source, target, "W4A16", gptq=True)


def fp8(source: Path, target: Path) -> None:
    """compressed-tensors: weights and activations in 8-bit floats, activations scaled token by token."""
    _by_llmcompressor(source, target, "FP8_DYNAMIC", gptq=False)


def _by_llmcompressor(source: Path, target: Path, scheme: str, gptq: bool) -> None:
    from datasets import Dataset
    from llmcompressor import oneshot
    from llmcompressor.modifiers.quantization import GPTQModifier, QuantizationModifier
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(source, dtype="auto")
    tokenizer = AutoTokenizer.from_pretrained(source)
    given: dict[str, Any] = {"targets": "Linear", "ignore": ["lm_head"], "scheme": scheme}
    if scheme == "W4A16":
        del given["scheme"]
        weights = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": GROUP}
        given |= {"config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}}
        del given["targets"]
    encoded = [tokenizer(text, max_length=TOKENS, truncation=True) for text in calibration()] if gptq else []
    more = {"dataset": Dataset.from_list([dict(one) for one in encoded]), "max_seq_length": TOKENS} if gptq else {}
    oneshot(
        model=model,
        recipe=(GPTQModifier if gptq else QuantizationModifier)(**given),
        num_calibration_samples=len(encoded) or 1,
        **more,
    )
    model.save_pretrained(target, save_compressed=True)
    tokenizer.save_pretrained(target)


def hqq(source: Path, target: Path) -> None:
    """HQQ (half-quadratic quantization), 4 bits; no calibration."""
    from transformers import HqqConfig

    _by_transformers(source, target, HqqConfig(nbits=4, group_size=GROUP))


def torchao_int8(source: Path, target: Path) -> None:
    """torchao: 8-bit weights; no calibration."""
    from torchao.quantization import Int8WeightOnlyConfig
    from transformers import TorchAoConfig

    _by_transformers(source, target, TorchAoConfig(Int8WeightOnlyConfig()))


def torchao_int4(source: Path, target: Path) -> None:
    """torchao: 4-bit weights in groups, kept as 8-bit integers on a CPU; no calibration."""
    import torch
    from torchao.quantization import IntxWeightOnlyConfig, PerGroup
    from transformers import TorchAoConfig

    kind = IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(GROUP))
    _by_transformers(source, target, TorchAoConfig(kind))


def _by_transformers(source: Path, target: Path, config: Any) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(source, quantization_config=config)
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(source).save_pretrained(target)


KINDS: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "gptq": (gptq, "gptqmodel"),
    "awq": (awq, "gptqmodel"),
    "w8a8": (w8a8, "llmcompressor"),
    "w4a16": (w4a16, "llmcompressor"),
    "fp8": (fp8, "llmcompressor"),
    "hqq": (hqq, "hqq"),
    "torchao-int8": (torchao_int8, "torchao"),
    "torchao-int4": (torchao_int4, "torchao"),
}
"""By folder: what makes it, and the package that it needs."""


def main() -> None:
    """Make every checkpoint that is asked for; in a child process, one."""
    options = parser().parse_args()
    if options.list:
        for name, (kind, package) in KINDS.items():
            print(f"{name:14}{package:16}{(kind.__doc__ or '').splitlines()[0]}")
        return
    names = options.only.split(",") if options.only else list(KINDS)
    if unknown := sorted(set(names) - set(KINDS)):
        raise SystemExit(f"--only {','.join(unknown)}: unknown; one of {', '.join(KINDS)}")
    if options.child:
        make(names[0], options)
        return
    failed = []
    for name in names:
        package = KINDS[name][1]
        if find_spec(package) is None:
            print(f"{name}: needs the package {package}: left out")
            failed.append(name)
            continue
        model = str(Path(options.model).resolve()) if Path(options.model).exists() else options.model
        told = ["--model", model, "--output", str(options.output.resolve()), "--only", name, "--child"]
        with tempfile.TemporaryDirectory() as elsewhere:  # gptqmodel leaves its logs where it runs
            done = subprocess.run(
                [sys.executable, str(Path(__file__).resolve()), *told],
                capture_output=True,
                text=True,
                check=False,
                cwd=elsewhere,
            )
        if done.returncode:
            print(f"{name}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
            failed.append(name)
        else:
            size = sum(file.stat().st_size for file in (options.output / name).glob("*.safetensors"))
            print(f"{options.output / name}: {size / 1e6:.0f} MB")
    if failed:
        raise SystemExit(f"not made: {', '.join(failed)}")


def make(name: str, options: argparse.Namespace) -> None:
    """One checkpoint, whole or not at all."""
    source = local_folder(ModelSpec(name=options.model))
    if source is None:
        raise SystemExit(f"{options.model}: give a folder, or a name of `evalkit models list`")
    target = options.output / name
    scratch = target.with_name(f".{name}.part")
    for folder in (target, scratch):
        shutil.rmtree(folder, ignore_errors=True)
    scratch.mkdir(parents=True)
    KINDS[name][0](source, scratch)
    scratch.rename(target)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--model", default="smollm2-135m", help="a folder, or a name of evalkit's")
    made.add_argument("--output", type=Path, default=Path("quantized"), help="a folder for each kind is made in it")
    made.add_argument("--only", help=f"comma-separated, of {', '.join(KINDS)}")
    made.add_argument("--list", action="store_true", help="print the kinds and end")
    made.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return made


if __name__ == "__main__":
    main()
