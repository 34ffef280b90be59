"""Weights over several devices: GPUs, the host's memory, and disk.

accelerate divides a model's layers among devices and, by a hook on each module, moves what goes into a module to where
its weights are; weights that neither a GPU nor the host's memory has room for are read from disk in every pass.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

import torch

from evalkit.backends.hf import memory
from evalkit.contract.errors import UserError
from evalkit.spec.models import ModelSpec
from evalkit.spec.strict import Strict, model_args

Size = int | str
"""Bytes, or text such as "20GiB"."""


class Placement(Strict):
    """The arguments (``--model_args``) that say where weights go."""

    device_map: Literal["auto", "balanced", "balanced_low_0", "sequential"] | dict[str, int | str] | None = None
    """How they are divided (accelerate's words), or the device of each module by its name."""
    parallelize: bool = False
    """lm-eval's word for ``device_map=auto``."""
    max_memory_per_gpu: Size | None = None
    """The most on each GPU."""
    max_cpu_memory: Size | None = None
    """The most in the host's memory; the rest goes to disk."""
    max_memory: dict[int | str, Size] | None = None
    """The most on each device by its number, and on "cpu"."""
    offload_folder: str | None = None
    """Where weights go that are on disk in a form which cannot be read from in passing."""

    @property
    def spreads(self) -> bool:
        """Whether weights may go to several devices."""
        return self.parallelize or self.device_map is not None


ARGUMENTS = frozenset(Placement.model_fields)


def of(model: ModelSpec) -> Placement:
    """The placement that ``model`` asks for. Raises UserError for one that cannot be."""
    given = {name: value for name, value in model.args.items() if name in ARGUMENTS}
    asked = model_args(Placement, given, "the backend hf")
    if not asked.spreads:
        if limits := sorted(name for name, value in given.items() if name != "parallelize" and value is not None):
            raise UserError(f"--model_args {limits[0]}: says nothing unless weights are spread: add device_map=auto")
        return asked
    if asked.max_memory is not None and (asked.max_memory_per_gpu is not None or asked.max_cpu_memory is not None):
        raise UserError(
            "--model_args max_memory: names every device; leave max_memory_per_gpu and max_cpu_memory out beside it"
        )
    if model.device not in ("auto", "cpu", "cuda"):
        raise UserError(
            f"--device {model.device}: device_map spreads weights over all devices: leave --device out, or hide "
            "GPUs by CUDA_VISIBLE_DEVICES"
        )
    return asked


def settings(asked: Placement, model: ModelSpec) -> dict[str, Any]:
    """What from_pretrained is told; empty where everything goes to one device. Raises UserError."""
    if not asked.spreads:
        return {}
    told: dict[str, Any] = {"device_map": asked.device_map or "auto"}
    if asked.offload_folder is not None:
        told["offload_folder"] = asked.offload_folder
    gpus = 0 if model.device == "cpu" else torch.cuda.device_count()
    if asked.max_memory is not None:
        return told | {"max_memory": {_device(name): size for name, size in asked.max_memory.items()}}
    if asked.max_memory_per_gpu is not None and not gpus:
        raise UserError("--model_args max_memory_per_gpu: no GPU is used here; max_cpu_memory limits the host's memory")
    limits: dict[int | str, Size] = {}
    if asked.max_memory_per_gpu is not None:
        limits = dict.fromkeys(range(gpus), asked.max_memory_per_gpu)
    elif gpus and asked.max_cpu_memory is not None:
        limits = {number: int(memory.SLACK * memory.available(torch.device("cuda", number))) for number in range(gpus)}
    if limits or not gpus:
        limits["cpu"] = asked.max_cpu_memory or int(memory.SLACK * memory.available(torch.device("cpu")))
    return told | ({"max_memory": limits} if limits else {})


def _device(name: int | str) -> int | str:
    """Numbers of GPUs are numbers, however they were written."""
    return int(name) if isinstance(name, str) and name.isdigit() else name


def devices(model: Any, first: torch.device) -> tuple[torch.device, ...]:
    """Those that ``model`` computes on, ``first`` (where its inputs go) before the others."""
    found = {first: None}
    for place in (getattr(model, "hf_device_map", None) or {}).values():
        if str(place) not in ("cpu", "disk"):
            found[torch.device("cuda", place) if isinstance(place, int) else torch.device(place)] = None
    return tuple(found)


def inputs_go_to(model: Any, otherwise: torch.device) -> torch.device:
    """The device that a spread model's tokens belong on: that of its embedding, or of the one that computes for it."""
    if not getattr(model, "hf_device_map", None):
        return otherwise
    hook = getattr(model.get_input_embeddings(), "_hf_hook", None)
    place = getattr(hook, "execution_device", None)
    if place is None:
        place = model.get_input_embeddings().weight.device
    return torch.device("cuda", place) if isinstance(place, int) else torch.device(place)


def describe(model: Any) -> dict[str, int]:
    """Bytes of the weights by device, as a run records them; empty for a model on one device."""
    places = getattr(model, "hf_device_map", None) or {}
    if not places:
        return {}
    held: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        held[_shown(places[_owner(name, places)])] += memory.stored_bytes(parameter)
    return dict(sorted(held.items()))


def _owner(name: str, places: dict[str, Any]) -> str:
    """The entry of a device map that a parameter falls under: the longest name that it begins with."""
    found = [one for one in places if one == "" or name == one or name.startswith(one + ".")]
    return max(found, key=len)


def _shown(place: Any) -> str:
    return f"cuda:{place}" if isinstance(place, int) else str(place)
