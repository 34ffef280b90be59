"""Arguments of the GGUF backend (``--model_args``)."""

from __future__ import annotations

import os
from typing import Literal

from pydantic import Field

from evalkit.contract.errors import UserError
from evalkit.perf.cores import usable_cores
from evalkit.spec.models import ModelSpec
from evalkit.spec.strict import Strict, model_args

KV_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8, "bf16": 30}
"""Names of what keys and values are kept in, and ggml's numbers for them (enum ggml_type)."""


class Settings(Strict):
    """What ``--model_args`` may hold for a GGUF file."""

    kv: Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"] = "f16"
    """What keys and values are kept in; a quantized one needs flash attention, which is then switched on."""
    n_ctx: int | None = Field(default=None, gt=0)
    """The context window in tokens; default: what the model was trained with."""
    n_threads: int = Field(default_factory=lambda: _cores(), ge=1)
    n_batch: int = Field(default=512, ge=16)
    """Tokens of one forward pass."""
    n_gpu_layers: int = 0
    """Layers that go to the GPU, where llama.cpp was built for one; -1: all."""
    parallel: int = Field(default=16, ge=1, le=255)
    """Sequences that are generated at once, and branches of the prefix tree in one pass."""
    flash_attn: bool | None = None
    """None: as llama.cpp decides."""

    @property
    def quantized(self) -> bool:
        """Whether keys and values are quantized."""
        return self.kv.startswith("q")


def settings(model: ModelSpec) -> Settings:
    """The validated arguments of ``model``. Raises UserError."""
    chosen = model_args(Settings, model.args, "the backend gguf")
    if chosen.quantized and chosen.flash_attn is False:
        raise UserError(f"--model_args kv={chosen.kv}: a quantized cache needs flash attention; leave flash_attn out")
    return chosen


def _cores() -> int:
    """Cores that this process may use; OMP_NUM_THREADS is heeded as everywhere else."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    return usable_cores()
