"""Adapters (peft): found on disk, put around a model, added up, recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evalkit.backends.hf import parameters
from evalkit.backends.hf.fingerprint import folder_hashes
from evalkit.backends.hf.quiet import no_notes_on_kernels, quiet
from evalkit.contract.errors import MissingExtra, UserError
from evalkit.spec.models import ModelSpec
from evalkit.text.reading import read_json

COMBINED = "evalkit_combined"


@dataclass(frozen=True)
class Adapter:
    """One adapter on disk and its weight in a sum."""

    folder: Path
    config: dict[str, Any]
    weight: float = 1.0

    @property
    def kind(self) -> str:
        """peft's name: LORA, IA3, PREFIX_TUNING, ..."""
        return str(self.config.get("peft_type", "unknown")).upper()

    def types(self) -> dict[str, str]:
        """Types of its weights by name, as safetensors writes them (F32, BF16, I8, ...)."""
        from safetensors import safe_open

        with safe_open(self.folder / "adapter_model.safetensors", "pt") as file:
            return {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Shapes of its weights by name."""
        from safetensors import safe_open

        with safe_open(self.folder / "adapter_model.safetensors", "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def find_adapters(spec: ModelSpec) -> list[Adapter]:
    """The adapters that ``spec.peft`` names. Raises UserError for what is none, or cannot be combined."""
    if not spec.peft:
        return []
    if find_spec("peft") is None:
        raise MissingExtra("--peft", "peft", "peft")
    adapters = [_adapter(*_weighted(entry), spec) for entry in spec.peft]
    kinds = sorted({adapter.kind for adapter in adapters})
    if len(adapters) > 1 and kinds != ["LORA"]:
        raise UserError(f"--peft: only LoRA adapters can be added up, these are {', '.join(kinds)}: give one of them")
    if adapters[0].weight != 1.0 and kinds != ["LORA"]:
        raise UserError(f"--peft: only a LoRA adapter takes a weight, this is {kinds[0]}: leave the weight out")
    if spec.peft_merge and adapters[0].config.get("num_virtual_tokens"):
        raise UserError(f"--peft-merge: {kinds[0]} adds tokens, not weights, and cannot be merged: leave it out")
    if spec.peft_merge and spec.quant:
        raise UserError("--peft-merge: merging into quantized weights would round the adapter away: leave it out")
    return adapters


def _weighted(entry: str) -> tuple[str, float]:
    """ "path:0.6" as ("path", 0.6); a colon without a number behind it belongs to the path."""
    path, colon, weight = entry.rpartition(":")
    try:
        return (path, float(weight)) if colon and path else (entry, 1.0)
    except ValueError:
        return entry, 1.0


def _adapter(name: str, weight: float, spec: ModelSpec) -> Adapter:
    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = _download(name)
    if not (folder / "adapter_config.json").is_file():
        raise UserError(f"--peft {name}: has no adapter_config.json: give the folder it was saved to")
    config = read_json(folder / "adapter_config.json", "adapter configuration", "save the adapter again")
    if not isinstance(config, dict):
        raise UserError(f"--peft {name}: adapter_config.json holds no mapping: save the adapter again")
    if not (folder / "adapter_model.safetensors").is_file():
        raise UserError(
            f"--peft {name}: has no adapter_model.safetensors (pickled weights are not loaded): "
            "save the adapter with save_pretrained()"
        )
    adapter = Adapter(folder, config, weight)
    _check_files(name, adapter)
    return adapter


def _check_files(name: str, adapter: Adapter) -> None:
    """Raise UserError for a method that peft does not know, a file of weights cut short, and weights that are no
    floating-point numbers.
    """
    no_notes_on_kernels()
    from peft import PeftType
    from safetensors import SafetensorError

    if config_kind := adapter.config.get("peft_type"):
        if adapter.kind not in {str(one.value) for one in PeftType}:
            raise UserError(
                f"--peft {name}: adapter_config.json names the peft_type {config_kind!r:.60}, which the installed peft "
                "does not know: give an adapter of another kind, or install a newer peft"
            )
    else:
        raise UserError(f"--peft {name}: adapter_config.json names no peft_type: save the adapter again")
    file = adapter.folder / "adapter_model.safetensors"
    try:
        kinds = adapter.types()
    except (SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(
            f"{file}: the weights in this file are not whole ({reason}): copy or download it again"
        ) from None
    if odd := sorted(key for key, kind in kinds.items() if not kind.startswith(("F", "BF"))):
        raise UserError(
            f"{file}: holds {len(odd)} weights that are no floating-point numbers ({odd[0]}: {kinds[odd[0]]}): save "
            "the adapter again"
        )


def _download(name: str) -> Path:
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise UserError(f"--peft {name}: no such folder: give the adapter's folder, or a Hub id (org/name)")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors"]))
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"--peft {name}: no such folder, and not loaded from the Hub ({reason}): check the path"
        ) from error


def adapted(model: Any, adapters: Sequence[Adapter], merge: bool) -> tuple[Any, dict[str, Any]]:
    """The model with its adapters, and what a run records of them. Raises UserError for one of another base model.

    Several LoRAs become one whose update is exactly the weighted sum of theirs (peft's "cat": their ranks add up).
    """
    base_parameters = parameters.count(model)
    around, names = wrapped(model, adapters)
    weights = [adapter.weight for adapter in adapters]
    if weights != [1.0]:
        combine(around, names, weights)
        for name in names:  # what they add stands in the sum: nothing holds, or counts, it twice
            around.delete_adapter(name)
        around.set_adapter(COMBINED)
    around.eval().requires_grad_(False)
    details = describe(adapters, base_parameters)
    if merge:
        return around.merge_and_unload().eval(), {**details, "merged": True}
    if getattr(around.active_peft_config, "is_prompt_learning", False):
        return around, {**details, "virtual_tokens": int(around.active_peft_config.num_virtual_tokens)}
    return around.get_base_model(), details


def wrapped(model: Any, adapters: Sequence[Adapter]) -> tuple[Any, list[str]]:
    """peft's model around ``model`` with every adapter loaded, and their names in it. Raises UserError for one of
    another base model.
    """
    from peft import PeftModel

    names = [f"a{index}" for index in range(len(adapters))]
    around: Any = None
    for name, adapter in zip(names, adapters, strict=True):
        try:
            with quiet():
                if around is None:
                    around = PeftModel.from_pretrained(model, str(adapter.folder), adapter_name=name)
                else:
                    around.load_adapter(str(adapter.folder), adapter_name=name)
        except Exception as error:
            raise _stranger(adapter, " ".join(str(error).split())[:200]) from error
        _check_fit(around, adapter, name)
    return around, names


def combine(around: Any, names: Sequence[str], weights: Sequence[float]) -> None:
    """Make the weighted sum of the named LoRAs the active adapter."""
    around.add_weighted_adapter(list(names), list(weights), COMBINED, combination_type="cat")
    around.set_adapter(COMBINED)


def reweigh(around: Any, names: Sequence[str], weights: Sequence[float]) -> None:
    """The same with other weights."""
    around.set_adapter(names[0])
    around.delete_adapter(COMBINED)
    combine(around, names, weights)
    around.eval().requires_grad_(False)


def _check_fit(around: Any, adapter: Adapter, name: str) -> None:
    """Every tensor of the file must have found its place, and every place its tensor: peft only warns of those that
    did not, and fills the places with what changes nothing.
    """
    from peft.utils import get_peft_model_state_dict

    with quiet():  # with embeddings, whether they were tuned or not: else peft asks the Hub of the base model's size
        places = get_peft_model_state_dict(around, adapter_name=name, save_embedding_layers=True)
    held = {key: tuple(value.shape) for key, value in places.items()}
    if odd := sorted(key for key, shape in adapter.tensors().items() if held.get(key) != shape):
        raise _stranger(adapter, f"{len(odd)} of its tensors have no place in this model, for example {odd[0]}")
    own = get_peft_model_state_dict(around, adapter_name=name, save_embedding_layers=False)
    if lost := sorted(set(own) - set(adapter.tensors())):
        raise _stranger(adapter, f"it has nothing for {len(lost)} places in this model, for example {lost[0]}")
    if getattr(around.peft_config[name], "is_prompt_learning", False):
        _check_prompt(around, adapter, name)


def _check_prompt(around: Any, adapter: Adapter, name: str) -> None:
    """Virtual tokens are put before a text, whatever its layers and widths are: one forward pass says if they fit."""
    import torch

    base = around.get_base_model()
    made, held = around.peft_config[name].num_layers, base.config.get_text_config().num_hidden_layers
    if made not in (None, held):
        raise _stranger(adapter, f"its virtual tokens are for {made} layers, this model has {held}")
    first = torch.zeros((1, 1), dtype=torch.long, device=base.get_input_embeddings().weight.device)
    try:
        with torch.inference_mode():
            around(input_ids=first, attention_mask=torch.ones_like(first))
    except (RuntimeError, IndexError, ValueError) as error:
        raise _stranger(adapter, " ".join(str(error).split())[:200]) from error


def _stranger(adapter: Adapter, reason: str) -> UserError:
    base = adapter.config.get("base_model_name_or_path") or "another base model"
    return UserError(
        f"--peft {adapter.folder}: does not fit this model; it was trained on {base} ({reason}): "
        "give --model the adapter's base model"
    )


def foreign(adapters: Sequence[Adapter], names: Sequence[str]) -> list[str]:
    """What is to be told of adapters that say they were trained on another model than this one, which goes by any of
    ``names``: that their shapes fit does not make them its own. Models are told apart by their names' last part.
    """
    own = {_last_part(name) for name in names}
    found = []
    for adapter in adapters:
        base = adapter.config.get("base_model_name_or_path")
        if isinstance(base, str) and base.strip() and _last_part(base) not in own:
            found.append(f"the adapter {adapter.folder.name} was trained on {base:.200}; its shapes fit this model too")
    return found


def _last_part(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2].lower()


def describe(adapters: Sequence[Adapter], base_parameters: int) -> dict[str, Any]:
    """Type, parameters, share of all parameters in percent, bytes on disk and weights of the adapters."""
    import math

    own = sum(math.prod(shape) for adapter in adapters for shape in adapter.tensors().values())
    size = sum(file.stat().st_size for adapter in adapters for file in adapter.folder.glob("*.safetensors"))
    return {
        "type": adapters[0].kind,
        "parameters": own,
        "share_percent": round(100 * own / (own + base_parameters), 4),
        "size_bytes": size,
        "adapters": {adapter.folder.name: adapter.weight for adapter in adapters},
        "merged": False,
    }


def adapter_hashes(adapters: Sequence[Adapter]) -> list[dict[str, Any]]:
    """What of the adapters can change an answer: file contents and weights."""
    return [{"files": folder_hashes(adapter.folder), "weight": adapter.weight} for adapter in adapters]
