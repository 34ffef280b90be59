"""What every backend over a loaded transformers model has: its record, its counters, its end."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from typing import Any

import torch

from evalkit.backends.hf import memory, parameters, placement
from evalkit.backends.hf.generation import Generation
from evalkit.backends.hf.loading import Parts
from evalkit.backends.hf.tokens import OverTokens, Tokens
from evalkit.contract.backend import no_op
from evalkit.contract.types import ModelInfo
from evalkit.perf.counters import Meter
from evalkit.spec.models import EngineSpec, ModelSpec


class Loaded:
    """A model on its device."""

    def __init__(self, parts: Parts, engine: EngineSpec) -> None:
        self._model = parts.model
        self._device = parts.device
        self._others = placement.devices(self._model, self._device)[1:]
        """Further devices that hold layers of the model."""
        self._offloaded = "disk" in parts.details.get("weights_by_device", {})
        self._engine = engine
        self.meter = Meter()
        self.weight_bytes = sum(memory.stored_bytes(t) for t in (*self._model.parameters(), *self._model.buffers()))
        self._n_parameters = parameters.count(self._model)

    def _info(self, parts: Parts, model: ModelSpec, max_length: int, details: Mapping[str, Any]) -> ModelInfo:
        return ModelInfo(
            name=model.label or model.name,
            backend="hf",
            fingerprint=parts.fingerprint,
            max_length=max_length,
            tokenizer=type(parts.tokenizer).__name__,
            n_parameters=self._n_parameters,
            dtype=str(self._model.dtype).removeprefix("torch."),
            device=str(self._device),
            details={**parts.details, **details},
        )

    def close(self) -> None:
        """Free the model's memory."""
        del self._model
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


class Generating(OverTokens, Loaded):
    """One that also writes: with its tokenizer and its own settings of generation."""

    def __init__(
        self, parts: Parts, model: ModelSpec, engine: EngineSpec, keep_end: bool = False, sees: bool = False
    ) -> None:
        super().__init__(parts, engine)
        self._tokens = Tokens(parts.tokenizer, model, keep_end=keep_end, sees=sees)
        self._generation = Generation(self._model, self._tokens)
        self.eot_id = self._tokens.eot_id
        self.prefix_id = int(model.args.get("prefix_token_id", self._tokens.prefix_id))
        self.after_pass: Callable[[], None] = no_op

    def _info(self, parts: Parts, model: ModelSpec, max_length: int, details: Mapping[str, Any]) -> ModelInfo:
        own = {"generation_config": self._generation.own} if self._generation.own else {}
        return super()._info(parts, model, max_length, {**self._tokens.record(), **own, **details})

    @property
    def ignore_end(self) -> bool:
        """Generate on past end-of-sequence, as benchmarks do."""
        return self._generation.ignore_end

    @ignore_end.setter
    def ignore_end(self, value: bool) -> None:
        self._generation.ignore_end = value
