"""Quantized checkpoints as their own libraries save them (scripts/quantize.py) load without a flag and score nearly
what the plain model does. Kinds whose library is not installed are skipped: `make quantizers`.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models as tiny

pytest.importorskip("transformers", reason="the extra hf is not installed")

from evalkit.backends.hf import load
from evalkit.spec.models import EngineSpec, ModelSpec

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "quantize.py"
KINDS = {
    "gptq": ("gptqmodel", "optimum"),
    "awq": ("gptqmodel",),
    "w8a8": ("llmcompressor",),
    "w4a16": ("llmcompressor",),
    "fp8": ("llmcompressor",),
    "torchao-int8": ("torchao",),
    "torchao-int4": ("torchao",),
}
"""By kind, as the script names them: the packages that it needs."""
DRAW = np.random.default_rng(8)
ROWS = [
    tiny.score_row(DRAW.integers(0, tiny.VOCABULARY - 1, size).tolist(), size - 3) for size in (12, 20, 31, 31)
]  # fmt: skip


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose widths all kinds can divide into groups of 32."""
    folder = tmp_path_factory.mktemp("plain")
    sizes = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "max_position_embeddings": 512}
    tiny.model("llama", initializer_range=0.1, **sizes).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder


def scored(folder: Path, **settings: Any) -> tuple[list[float], Any]:
    backend = load(ModelSpec(name=str(folder), device="cpu", **settings), EngineSpec())
    return [answer.loglikelihood for answer in tiny.answers(backend.score, ROWS)], backend


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_scores_nearly_what_the_plain_model_does(kind: str, plain: Path, tmp_path: Path) -> None:
    for package in KINDS[kind]:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{kind} needs {package}: make quantizers")
    command = [sys.executable, str(SCRIPT), "--model", str(plain), "--output", str(tmp_path), "--only", kind]
    subprocess.run(command, check=True)
    expected, whole = scored(plain, dtype="float32")
    found, backend = scored(tmp_path / kind)
    assert backend.tree
    assert backend.info.details["quantization"] == KINDS_RECORDED[kind]
    assert backend.info.n_parameters == whole.info.n_parameters
    four_bits = kind in ("gptq", "awq", "w4a16", "torchao-int4")
    assert found == pytest.approx(expected, abs=3 if four_bits else 0.5), "three tokens that chance gives 12 nats"
    assert found != expected
    assert backend.info.fingerprint != whole.info.fingerprint


KINDS_RECORDED = {
    "gptq": "gptq",
    "awq": "awq (gemm)",
    "w8a8": "compressed-tensors (int-quantized)",
    "w4a16": "compressed-tensors (pack-quantized)",
    "fp8": "compressed-tensors (float-quantized)",
    "torchao-int8": "torchao",
    "torchao-int4": "torchao",
}
"""What a run records of each."""
