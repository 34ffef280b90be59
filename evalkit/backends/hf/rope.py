"""Position encodings that transformers chooses anew in every call, from the largest position in it.

LongRoPE (arXiv 2402.13753) takes other factors for a call that goes beyond the model's original window; dynamic NTK
scaling takes other frequencies for every length beyond it, and keeps them for the calls that follow. Either makes a
row's answer depend on the rows beside or before it, unless rows beyond the original window are asked by themselves, in
batches of equal length, from the state that the model was loaded in.
"""

from __future__ import annotations

from typing import Any

import torch

TYPES = ("longrope", "dynamic")


class CallState:
    """The encodings of a model as they were loaded."""

    def __init__(self, model: Any) -> None:
        modules = [module for module in model.modules() if _types(module)]
        self._held = [(module, _buffers(module), _numbers(module)) for module in modules if _is_dynamic(module)]
        limits = [limit for module in modules for limit in _limits(module)]
        self.original_window: int | None = min(limits) if limits else None
        """Tokens up to which the encodings are the same in every call; None: always."""

    def restore(self) -> None:
        """Put the encodings back to what they were when the model was loaded."""
        for module, buffers, numbers in self._held:
            for name, value in buffers.items():
                module.register_buffer(name, value.clone(), persistent=False)
            for name, number in numbers.items():
                setattr(module, name, number)


def _types(module: Any) -> list[str]:
    kind = getattr(module, "rope_type", None)
    kinds = kind.values() if isinstance(kind, dict) else [kind]
    return [str(one) for one in kinds if one is not None and any(name in str(one) for name in TYPES)]


def _is_dynamic(module: Any) -> bool:
    return any("dynamic" in kind for kind in _types(module))


def _buffers(module: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.named_buffers(recurse=False) if name.endswith("inv_freq")}


def _numbers(module: Any) -> dict[str, Any]:
    names = [name for name in vars(module) if name.endswith(("max_seq_len_cached", "attention_scaling"))]
    return {name: getattr(module, name) for name in names}


def _limits(module: Any) -> list[int]:
    parameters = getattr(module.config, "rope_parameters", None) or {}
    sets = [one for one in parameters.values() if isinstance(one, dict)] or [parameters]
    found = [one.get("original_max_position_embeddings") for one in sets if _varies(one)]
    found.append(getattr(module, "original_max_seq_len", None) if _is_dynamic(module) else None)
    return [int(value) for value in found if value]


def _varies(parameters: dict[str, Any]) -> bool:
    return any(name in str(parameters.get("rope_type")) for name in TYPES)
