"""A model cut over two processes (tensor parallelism, on a CPU too) gives transformers' numbers, and says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backends import tiny_models as tiny

from evalkit.backends.hf import load
from evalkit.spec.models import EngineSpec, ModelSpec

DRAW = np.random.default_rng(8)
TOKENS = [DRAW.integers(0, tiny.VOCABULARY - 1, size).tolist() for size in (12, 20, 31, 40)]
ASK = """
import json, sys
import tiny_models as tiny
from evalkit.backends import opening
from evalkit.spec.models import EngineSpec, ModelSpec

if __name__ == "__main__":
    folder, args, tokens = json.loads(sys.argv[1])
    spec = ModelSpec(name=folder, backend="vllm", dtype="float32", max_length=256, args=args)
    backend = opening.open_backend(spec, EngineSpec())
    found = tiny.answers(backend.score, [tiny.score_row(row, len(row) - 3) for row in tokens])
    print(json.dumps([backend.info.details, [answer.loglikelihood for answer in found]]))
    backend.close()
"""


def test_tensor_parallel(tmp_path: Path) -> None:
    folder = tmp_path / "model"  # four heads, which two divides; SmolLM2-135M has nine
    sizes = {"hidden_size": 256, "initializer_range": 0.1, "max_position_embeddings": 512}
    tiny.model("llama", **sizes).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    script = tmp_path / "ask.py"
    script.write_text(ASK, encoding="utf-8")
    args = {"enforce_eager": True, "tensor_parallel_size": 2}
    done = subprocess.run(
        [sys.executable, str(script), json.dumps([str(folder), args, TOKENS])],
        capture_output=True, text=True, check=True, env=surroundings(),
    )  # fmt: skip
    details, found = json.loads(done.stdout.splitlines()[-1])
    assert details["tensor_parallel_size"] == 2
    whole = load(ModelSpec(name=str(folder), dtype="float32", device="cpu"), EngineSpec())
    expected = tiny.answers(whole.score, [tiny.score_row(row, len(row) - 3) for row in TOKENS])
    assert found == pytest.approx([answer.loglikelihood for answer in expected], abs=1e-3)


def surroundings() -> dict[str, Any]:
    """This process's, with the tests' own modules and vLLM's own processes."""
    held = dict(os.environ, PYTHONPATH=str(Path(tiny.__file__).parent))
    held.pop("VLLM_ENABLE_V1_MULTIPROCESSING", None)
    return held
