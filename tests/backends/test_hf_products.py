"""Linear layers in oneDNN's layout: the same products, and nothing replaced that something else relies on."""

from __future__ import annotations

import weakref

import pytest
import torch
from tiny_models import backend, model
from torch import nn

from evalkit.backends.hf import memory
from evalkit.backends.hf.onednn_linear import PackedLinear, pack, usable

pytestmark = pytest.mark.skipif(not usable(), reason="this build of PyTorch has no oneDNN operators")


class Tied(nn.Module):
    """An embedding whose weight is the last layer's too, and one layer that stands in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 16)
        self.first = nn.Linear(16, 24)
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(24, 16, bias=False), nn.GELU()), nn.Linear(16, 16)])
        self.again = self.blocks[1]
        self.head = nn.Linear(16, 50, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden = self.blocks[0](self.first(self.embedding(tokens)))
        return self.head(self.again(self.blocks[1](hidden)))


@pytest.mark.parametrize("shape", [(1, 96), (2, 96), (7, 96), (700, 96), (3, 5, 96), (1, 1, 96), (0, 96)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_packed_product_is_the_ordinary_one(shape, bias) -> None:
    torch.manual_seed(1)
    linear = nn.Linear(96, 130, bias=bias)
    rows = torch.randn(shape)
    with torch.inference_mode():
        found = PackedLinear(linear)(rows)
        assert found.shape == (*shape[:-1], 130)
        torch.testing.assert_close(found, linear(rows), atol=1e-5, rtol=1e-5)


def test_rows_that_are_not_contiguous() -> None:
    torch.manual_seed(2)
    linear, rows = nn.Linear(32, 8), torch.randn(1, 32, 20).transpose(1, 2)
    with torch.inference_mode():
        torch.testing.assert_close(PackedLinear(linear)(rows), linear(rows), atol=1e-5, rtol=1e-5)


def test_every_layer_is_replaced_and_its_weight_freed_and_a_tied_one_is_counted() -> None:
    torch.manual_seed(3)
    tied_model, tokens = Tied().eval(), torch.arange(50)[None]
    with torch.inference_mode():
        before = tied_model(tokens)
    old, tied = weakref.ref(tied_model.first.weight), tied_model.embedding.weight
    assert pack(tied_model) == 50 * 16 * 4
    assert old() is None
    assert tied_model.embedding.weight is tied
    assert tied_model.again is tied_model.blocks[1]
    assert not [module for module in tied_model.modules() if isinstance(module, nn.Linear)]
    assert sum(isinstance(module, PackedLinear) for module in tied_model.modules()) == 4
    with torch.inference_mode():
        torch.testing.assert_close(tied_model(tokens), before, atol=1e-5, rtol=1e-5)


def test_packing_twice_changes_nothing() -> None:
    once = Tied()
    pack(once)
    assert pack(once) == 0


class Own(nn.Linear):
    """A layer of a class of its own."""


class Adapted(nn.Module):
    """As PEFT wraps a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.base_layer = nn.Linear(4, 4)
        self.lora_A = nn.ModuleDict({"default": nn.Linear(4, 2)})


def hooked() -> nn.Linear:
    linear = nn.Linear(4, 4)
    linear.register_forward_hook(lambda module, inputs, output: output)
    return linear


def patched() -> nn.Linear:
    linear = nn.Linear(4, 4)
    linear.forward = lambda rows: rows  # type: ignore[method-assign]
    return linear


KEPT = {
    "a class of its own": lambda: Own(4, 4),
    "a hook": hooked,
    "a forward of its own": patched,
    "bfloat16": lambda: nn.Linear(4, 4, dtype=torch.bfloat16),
    "an adapter's": Adapted,
    "no device": lambda: nn.Linear(4, 4, device="meta"),
}


@pytest.mark.parametrize("make", KEPT.values(), ids=KEPT)
def test_what_is_no_plain_layer_stays(make) -> None:
    both = nn.Sequential(nn.Linear(4, 4), make())
    kept = [id(module) for module in both[1].modules()]
    pack(both)
    assert isinstance(both[0], PackedLinear)
    assert [id(module) for module in both[1].modules()] == kept


def test_the_engine_packs_and_the_plain_path_does_not() -> None:
    shared, plain = backend(model("llama")), backend(model("llama"), share_prefixes=False)
    assert shared.tree
    assert not [module for module in shared.model.modules() if type(module) is nn.Linear]
    assert not [module for module in plain.model.modules() if isinstance(module, PackedLinear)]
    assert shared.info.n_parameters == plain.info.n_parameters
    assert shared.weight_bytes == plain.weight_bytes


def test_a_model_larger_than_the_free_memory_is_not_laid_out_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda device: 1000)
    tight = backend(model("llama"))
    assert tight.tree
    assert not [module for module in tight.model.modules() if isinstance(module, PackedLinear)]
