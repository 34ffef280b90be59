"""How many parameters a model has, however its weights are held: packed into integers, with scales beside them."""

from __future__ import annotations

from typing import Any


def count(model: Any) -> int:
    """The parameters of ``model``, each once.

    A quantized linear layer counts as what it stands for, inputs times outputs and its bias: GPTQ, AWQ and HQQ hold
    eight weights in an integer, or none as a parameter at all, and compressed-tensors' scales would count as weights.
    """
    seen: set[int] = set()
    total = 0
    for module in model.modules():
        own = {name: value for name, value in module.named_parameters(recurse=False) if id(value) not in seen}
        seen |= {id(value) for value in own.values()}
        weights = _stands_for(module)
        if weights is None or _is_plain(module, weights):
            total += sum(value.numel() for value in own.values())
        elif "weight" in own or "weight" not in module._parameters:
            bias: Any = own.get("bias", getattr(module, "bias", None))  # HQQ holds it as a plain tensor
            total += weights + (bias.numel() if hasattr(bias, "numel") else 0)
        # else the weight is another module's as well (an output head tied to the embedding), and counted there
    return total


def _is_plain(module: Any, weights: int) -> bool:
    """Whether a linear layer holds its weights one by one, and nothing beside them but a bias."""
    held = module._parameters
    return held.keys() <= {"weight", "bias"} and held.get("weight") is not None and held["weight"].numel() == weights


def _stands_for(module: Any) -> int | None:
    """The weights of a linear layer by its sizes; None for another module, and for an adapter around a layer."""
    sizes = (getattr(module, "in_features", None), getattr(module, "out_features", None))
    around = any(True for _ in module.children())
    if around or not all(isinstance(size, int) and not isinstance(size, bool) for size in sizes):
        return None
    return int(sizes[0] or 0) * int(sizes[1] or 0)
