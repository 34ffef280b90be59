"""A model with what is to be tuned: peft's methods by peft, biases and bottleneck adapters by evalkit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch

from evalkit.backends.hf.quiet import no_notes_on_kernels, quiet
from evalkit.contract.errors import MissingExtra, UserError
from evalkit.training.recipe import Method

BY_PEFT = ("lora", "ia3", "prefix", "prompt", "p-tuning")


@dataclass(frozen=True)
class Tunable:
    """A model to be trained. ``model`` computes the loss, ``inner`` is what a backend asks; ``base_parameters`` counts
    the model's own numbers before anything was added.
    """

    model: Any
    inner: Any
    base_parameters: int
    note: str = ""

    def tuned(self) -> dict[str, torch.nn.Parameter]:
        """The tuned tensors by name."""
        return {name: one for name, one in self.model.named_parameters() if one.requires_grad}

    @property
    def trainable(self) -> int:
        """How many numbers are tuned."""
        return sum(one.numel() for one in self.tuned().values())

    @property
    def share(self) -> float:
        """Tuned numbers over all numbers of the model with what was added to it, each counted once."""
        every = {id(one): one.numel() for one in self.model.parameters()}
        return self.trainable / sum(every.values())


def attach(model: Any, method: Method, seed: int) -> Tunable:
    """``model`` (which is changed) ready to be tuned; what is added starts from ``seed``. UserError where the method
    does not fit the architecture.
    """
    base = sum(one.numel() for one in model.parameters())
    torch.manual_seed(seed)
    if method.method in BY_PEFT:
        return _by_peft(model, method, base)
    if method.method == "full":
        model.requires_grad_(True)
        return Tunable(model, model, base)
    model.requires_grad_(False)
    if method.method == "bitfit":
        note = _biases(model)
        return Tunable(model, model, base, note)
    for layer in layers_of(model):
        block = getattr(layer, "mlp", None)
        if not isinstance(block, torch.nn.Module):
            raise UserError(f"bottleneck: the layers of {type(model).__name__} have no mlp: leave this method out")
        size = model.config.get_text_config().hidden_size
        layer.mlp = Bottleneck(block, size, method.width).to(next(block.parameters()))
    return Tunable(model, model, base)


class Bottleneck(torch.nn.Module):
    """A feed-forward block with an adapter behind it: down to ``width``, GELU, up again, added to what came in (Houlsby
    et al. 2019, arXiv 1902.00751; one a layer, behind the feed-forward block, as Pfeiffer et al. 2021, arXiv
    2005.00247). It changes nothing before it is trained: what leads up starts at zero.
    """

    def __init__(self, block: torch.nn.Module, size: int, width: int) -> None:
        super().__init__()
        self.block = block
        self.down = torch.nn.Linear(size, width)
        self.up = torch.nn.Linear(width, size)
        torch.nn.init.zeros_(self.up.weight)
        torch.nn.init.zeros_(self.up.bias)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """[..., size] -> [..., size]."""
        found: torch.Tensor = self.block(rows)
        return found + self.up(torch.nn.functional.gelu(self.down(found)))


def layers_of(model: Any) -> torch.nn.ModuleList:
    """The model's layers. UserError where they are not found."""
    count = model.config.get_text_config().num_hidden_layers
    for module in model.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return module
    raise UserError(f"{type(model).__name__}: its {count} layers are not found: this method does not fit it")


def _biases(model: Any) -> str:
    """Make the biases in the layers tunable (BitFit, Ben Zaken et al. 2022, arXiv 2106.10199). A model without any gets
    biases of zero in its linear layers, which change nothing before they are trained.
    """
    layers = layers_of(model)
    own = [one for name, one in layers.named_parameters() if name.rpartition(".")[2] == "bias"]
    for one in own:
        one.requires_grad_(True)
    if own:
        return ""
    for linear in _linear(layers):
        linear.bias = torch.nn.Parameter(linear.weight.new_zeros(linear.out_features))
    return "this architecture has no biases: biases of zero were added to the linear layers of its blocks"


def _linear(layers: torch.nn.ModuleList) -> Iterator[torch.nn.Linear]:
    return (module for module in layers.modules() if isinstance(module, torch.nn.Linear))


def _by_peft(model: Any, method: Method, base: int) -> Tunable:
    if find_spec("peft") is None:
        raise MissingExtra(f"the method {method.method}", "peft", "peft")
    no_notes_on_kernels()
    import peft

    kind, width = peft.TaskType.CAUSAL_LM, method.width
    modules = list(method.modules) if method.modules else None
    configs: dict[str, Any] = {
        "lora": lambda: peft.LoraConfig(
            task_type=kind, r=width, lora_alpha=method.alpha or 2 * width, target_modules=modules
        ),
        "ia3": lambda: peft.IA3Config(task_type=kind, target_modules=modules),
        "prefix": lambda: peft.PrefixTuningConfig(task_type=kind, num_virtual_tokens=width),
        "prompt": lambda: peft.PromptTuningConfig(task_type=kind, num_virtual_tokens=width),
        "p-tuning": lambda: peft.PromptEncoderConfig(task_type=kind, num_virtual_tokens=width, encoder_hidden_size=128),
    }
    try:
        with quiet():
            around = peft.get_peft_model(model, configs[method.method]())
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{method.label}: does not fit {type(model).__name__}: {reason}") from None
    prompts = bool(getattr(around.active_peft_config, "is_prompt_learning", False))
    return Tunable(around, around if prompts else around.get_base_model(), base)
