"""A quantization that cannot be here says what it needs before anything of the model but its config.json is fetched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers", reason="the extra hf is not installed")

from evalkit.backends.hf import loading, quantization
from evalkit.backends.hf.hub import HubModel
from evalkit.contract.errors import UserError
from evalkit.spec.models import ModelSpec


def never(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError(f"asked for {args} {kwargs}")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[str]]:
    """A Hub with one model: its config.json, to be written by the test, and the names of the files asked for."""
    import transformers

    asked: list[str] = []

    def cached_file(source: str, name: str, **_: Any) -> str:
        asked.append(name)
        return str(tmp_path / name)

    monkeypatch.setattr(loading, "look_up", lambda *_: HubModel("0" * 40))
    monkeypatch.setattr("transformers.utils.cached_file", cached_file)
    for loader in (transformers.AutoTokenizer, transformers.AutoModelForCausalLM):
        monkeypatch.setattr(loader, "from_pretrained", never)
    return tmp_path / "config.json", asked


@pytest.mark.parametrize(
    ("method", "missing", "install"),
    [
        ("gptq", "gptqmodel", "pip install gptqmodel"),
        ("gptq", "optimum", "pip install optimum"),
        ("awq", "gptqmodel", "pip install gptqmodel"),
        ("compressed-tensors", "compressed_tensors", "pip install compressed-tensors"),
        ("bitsandbytes", "bitsandbytes", "pip install bitsandbytes"),
        ("torchao", "torchao", "pip install torchao"),
        ("quanto", "optimum.quanto", "pip install optimum-quanto"),
        ("auto-round", "auto_round", "pip install auto-round"),
    ],
)
def test_a_quantized_checkpoint_names_the_package_it_needs(
    hub: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch, method: str, missing: str, install: str
) -> None:
    config, asked = hub
    config.write_text(json.dumps({"quantization_config": {"quant_method": method, "bits": 4}}))
    monkeypatch.setattr(quantization, "find_spec", lambda name: None if name == missing else object())
    with pytest.raises(UserError) as caught:
        loading.load_parts(ModelSpec(name="org/model", device="cpu"))
    assert f"is quantized with {method}, which needs {missing}: {install}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert asked == ["config.json"]


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("fbgemm_fp8", "whose kernels need a CUDA device, and this runs on cpu: use a CUDA device, or a GPTQ"),
        ("eetq", "whose kernels need a CUDA device"),
        ("higgs", "whose kernels need a CUDA device"),
        ("fp_quant", "whose kernels need a CUDA device"),
        ("spqr", "whose kernels need a CUDA device"),
        ("vptq", "whose kernels need a CUDA device"),
        ("hqq", "does not load any more: give the model that it was made of, with --quant hqq4"),
        ("nvfp4", "does not load yet: give it to --backend vllm"),
    ],
)
def test_a_quantized_checkpoint_that_cannot_run_here_says_so(
    hub: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch, method: str, told: str
) -> None:
    config, asked = hub
    config.write_text(json.dumps({"quantization_config": {"quant_method": method}}))
    monkeypatch.setattr(quantization, "find_spec", lambda _: object())
    with pytest.raises(UserError) as caught:
        loading.load_parts(ModelSpec(name="org/model", device="cpu"))
    assert f"is quantized with {method}, " in str(caught.value)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert asked == ["config.json"]


@pytest.mark.parametrize(
    ("quant", "packages", "words"),
    [
        ("int4wo", True, "int4 kernels need a CUDA device; on a CPU use int8wo or nf4"),
        ("int4wo", False, "needs the package torchao"),
        ("nf4", False, "needs the package bitsandbytes"),
        ("int8da", False, "needs the package torchao"),
        ("hqq4", False, "needs the package hqq"),
    ],
)
def test_a_quantization_that_cannot_be_here_is_told_before_the_model_is_looked_up(
    monkeypatch: pytest.MonkeyPatch, quant: Any, packages: bool, words: str
) -> None:
    monkeypatch.setattr(loading, "look_up", never)
    monkeypatch.setattr(quantization, "find_spec", lambda _: object() if packages else None)
    with pytest.raises(UserError) as caught:
        loading.load_parts(ModelSpec(name="org/model", device="cpu", quant=quant))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
