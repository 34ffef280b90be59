"""Every weight from the files: what a folder lacks, what its files hold too much, and what was tied.

transformers fills what a checkpoint lacks with random numbers and goes on; a score of such a model means nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.text.reading import read_json

WAY_OUT = "--allow-missing-weights runs it all the same"

SHOWN = 3
"""Names shown of each kind; the rest is counted."""


def check_files(folder: Path) -> None:
    """Raise UserError, before anything is loaded, for weights in a folder that are not all there: a lost shard, one
    half written, shards without their index.
    """
    files = _weight_files(folder)
    if lost := [file.name for file in files if not file.is_file()]:
        raise UserError(
            f"{folder}: {_listed(lost)} of its {len(files)} weight files {_are(lost)} not there: copy the whole folder "
            "again"
        )
    from safetensors import SafetensorError, safe_open

    config = read_json(folder / "config.json", "model file")
    plain = not any(part.get("quantization_config") for part in (config, config.get("text_config") or {}))
    for file in files:
        try:
            with safe_open(file, "pt") as held:  # its header says how long the file must be
                if plain:
                    _check_types(file, held)
        except (SafetensorError, OSError) as error:
            reason = " ".join(str(error).split())[:120]
            raise UserError(
                f"{file}: the weights in this file are not whole ({reason}): copy or download it again"
            ) from None


def _check_types(file: Path, held: Any) -> None:
    """Raise UserError for weights that are no floating-point numbers: as such they are read, without a scale, into
    numbers that mean nothing. Tensors of other names may be masks and positions.
    """
    types = {key: held.get_slice(key).get_dtype() for key in held.keys() if key.endswith(".weight")}  # noqa: SIM118
    if odd := sorted(key for key, kind in types.items() if not kind.startswith(("F", "BF"))):
        raise UserError(
            f"{file}: holds {len(odd)} weights that are no floating-point numbers ({odd[0]}: {types[odd[0]]}), and "
            "config.json has no quantization_config that says what they mean: save the model again with "
            "save_pretrained(), or copy its own config.json"
        )


def _weight_files(folder: Path) -> list[Path]:
    """The files that transformers reads of a folder: model.safetensors, else those that the index names."""
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
        except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
            raise UserError(f"{index}: is no index of weight files: copy or download it again") from None
        if any(Path(str(name)).name != name for name in names):
            raise UserError(f"{index}: names a file outside of its folder: download it again")
        return [folder / name for name in names]
    found = sorted(path.name for path in folder.glob("*.safetensors"))
    raise UserError(
        f"{folder}: has no model.safetensors and no model.safetensors.index.json that says which of {_listed(found)} "
        "belong to the model: copy the index too, or save the model with save_pretrained()"
    )


def check_loaded(name: str, model: Any, report: Mapping[str, Any], allowed: bool) -> dict[str, Any]:
    """What a run records of the weights: which were tied, and with ``allowed`` which are not the files'.

    ``report``: transformers' loading report (missing_keys, unexpected_keys, mismatched_keys). Raises UserError where
    it is not empty and that was not allowed.
    """
    missing = sorted({*map(str, report.get("missing_keys") or ()), *_on_meta(model)})
    unexpected = sorted(map(str, report.get("unexpected_keys") or ()))
    shapes = sorted((str(key), tuple(held), tuple(due)) for key, held, due in report.get("mismatched_keys") or ())
    tied = {str(one): str(other) for one, other in (getattr(model, "all_tied_weights_keys", None) or {}).items()}
    details: dict[str, Any] = {"tied": dict(sorted(tied.items()))} if tied else {}
    if not (missing or unexpected or shapes):
        return details
    if not allowed:
        raise UserError(f"{name}: {_complaint(type(model).__name__, missing, unexpected, shapes)}")
    return {
        **details,
        "weights_missing": missing,
        "weights_unexpected": unexpected,
        "weights_misshaped": [key for key, _, _ in shapes],
    }


def check_numbers(name: str, model: Any) -> None:
    """Raise UserError for weights that are NaN or infinite: attention may pass over them and answer all the same."""
    import torch

    broken = []
    for key, held in model.named_parameters():
        plain = type(held.data) is torch.Tensor and held.is_floating_point() and held.dtype.itemsize > 1
        if held.is_meta or not plain or not held.numel():
            continue  # on the disk, or quantized
        least, most = torch.aminmax(held.detach())  # both are NaN where one number is
        if not bool(torch.isfinite(least) & torch.isfinite(most)):
            broken.append(key)
    if broken:
        raise UserError(
            f"{name}: {_listed(broken)} {_hold(broken)} NaN or infinity: save the model again, or download it again"
        )


def check_answers(name: str, model: Any, logits: Iterable[Any]) -> None:
    """Raise UserError where logits (tensors of any shape) of a few texts are no numbers. Minus infinity is one: a model
    may forbid a token.
    """
    import torch

    if any(bool((one.isnan() | (one == torch.inf)).any()) for one in logits):
        kind = str(model.dtype).removeprefix("torch.")
        advice = "load it with --dtype bfloat16 or float32" if model.dtype == torch.float16 else "save the model again"
        raise UserError(f"{name}: its answers are NaN or infinite in {kind}, though its weights are numbers: {advice}")


def _on_meta(model: Any) -> list[str]:
    """Parameters without any numbers. Those that a hook reads from disk in every pass have theirs there."""
    read = {
        f"{place}.{name}" if place else name
        for place, module in model.named_modules()
        if getattr(getattr(module, "_hf_hook", None), "offload", False)
        for name, _ in module.named_parameters(recurse=False)
    }
    return [name for name, parameter in model.named_parameters() if parameter.is_meta and name not in read]


def _complaint(kind: str, missing: list[str], unexpected: list[str], shapes: list[Any]) -> str:
    parts = []
    if missing:
        parts.append(f"lack {len(missing)} weights of {kind} ({_listed(missing)})")
    if unexpected:
        parts.append(f"hold {len(unexpected)} that it has no place for ({_listed(unexpected)})")
    if shapes:
        told = [f"{key}: {list(held)} in the file, {list(due)} in the model" for key, held, due in shapes]
        parts.append(f"hold {len(shapes)} of another shape ({_listed(told)})")
    return f"its files {' and '.join(parts)}: {_advice(missing, unexpected)}; {WAY_OUT}"


def _advice(missing: list[str], unexpected: list[str]) -> str:
    for key in missing[:1]:
        prefix = next((other[: -len(key)] for other in unexpected if other.endswith(key)), "")
        if prefix and {prefix + one for one in missing} == set(unexpected):
            return f"every name begins with {prefix!r}, as a wrapper leaves it: save the model inside it"
    if missing and all("head" in key or "embed" in key for key in missing) and not unexpected:
        return "save the whole model and not its body alone, or set tie_word_embeddings in config.json if it is tied"
    return "save the model again with save_pretrained(), or correct its config.json"


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more


def _hold(names: list[str]) -> str:
    return "holds" if len(names) == 1 else "hold"


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
