"""Matrix products on a CPU with weights in oneDNN's own blocked layout, laid out once when the model is loaded.

`torch.nn.functional.linear` reads a weight in an order that its kernels do not like, or lays it out anew in every
call. With few rows, as in generation and in the vocabulary projection, that takes longer than the product itself
(benchmarks/products.py). The operators here are those that torch.compile uses for a frozen model.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from itertools import chain

import torch

ROWS = 768
"""Rows of the products that the layout is chosen for; it serves fewer rows as well."""

TOLERANCE = 1e-4
"""Largest difference from an ordinary product over 64 normal numbers at which the operators count as usable."""


class PackedLinear(torch.nn.Module):
    """A float32 `torch.nn.Linear` whose weight [out, in] is held in the blocked layout only."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.in_features = linear.in_features
        self.out_features = linear.out_features
        self.bias = linear.bias
        # No parameter: an opaque tensor has no storage, and nothing may move or convert it.
        self.weight = _laid_out(linear.weight.data)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """[..., in] -> [..., out]."""
        return _product(rows, self.weight, self.bias)

    def extra_repr(self) -> str:
        """As torch prints a linear layer."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def pack(model: torch.nn.Module) -> int:
    """Replace the plain float32 linear layers of a model on the CPU. Returns the bytes of weights that are held twice
    now, because something else uses them as they were (a tied embedding).

    Quantized layers, those with hooks, those of an adapter and classes of their own stay as they are.
    """
    places, used_elsewhere = _find(model) if usable() else ({}, set())
    if not places:
        return 0
    twice = 0
    with torch.no_grad():
        while places:  # one at a time: each old weight is freed before the next is laid out
            linear, where = places.popitem()
            twice += linear.weight.nbytes if id(linear.weight) in used_elsewhere else 0
            packed = PackedLinear(linear)
            for parent, name in where:
                setattr(parent, name, packed)
        for tensor in chain(model.parameters(), model.buffers()):
            if type(tensor.data) is torch.Tensor:
                tensor.data = tensor.data.clone()  # what is left of a mapped file would keep all of it in memory
    return twice


@lru_cache
def usable() -> bool:
    """Whether this build of PyTorch has the operators and they compute what an ordinary product does."""
    drawn = torch.Generator().manual_seed(0)
    rows, weight = torch.randn(3, 64, generator=drawn), torch.randn(48, 64, generator=drawn)
    try:
        apart = (_product(rows, _laid_out(weight), None) - torch.nn.functional.linear(rows, weight)).abs().max()
    except (AttributeError, RuntimeError):
        return False
    return bool(apart <= TOLERANCE)


def _find(
    model: torch.nn.Module,
) -> tuple[dict[torch.nn.Linear, list[tuple[torch.nn.Module, str]]], set[int]]:
    """The layers to replace with the places of each, and the ids of the parameters that others hold."""
    places: dict[torch.nn.Linear, list[tuple[torch.nn.Module, str]]] = defaultdict(list)
    others: set[int] = set()
    waiting, seen = [model], {model}
    while waiting:
        parent = waiting.pop()
        adapted = hasattr(parent, "base_layer")  # PEFT's layers read the weights of the layers within
        for parameter in parent.parameters(recurse=adapted):
            others.add(id(parameter))
        for name, child in () if adapted else parent.named_children():
            if isinstance(child, torch.nn.Linear) and _is_plain(child):
                places[child].append((parent, name))
            elif child not in seen:
                seen.add(child)
                waiting.append(child)
    return places, others


def _is_plain(linear: torch.nn.Linear) -> bool:
    if type(linear) is not torch.nn.Linear or "forward" in vars(linear):
        return False
    weight = linear.weight
    whole = type(weight.data) is torch.Tensor and weight.dtype == torch.float32 and weight.device.type == "cpu"
    return whole and not linear._forward_hooks and not linear._forward_pre_hooks


def _laid_out(weight: torch.Tensor) -> torch.Tensor:
    return torch.ops.mkldnn._reorder_linear_weight.default(weight, ROWS)


def _product(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return torch.ops.mkldnn._linear_pointwise.default(rows, weight, bias, "none", [], "")
