"""The processor of a model that reads pictures: tokenizer and picture processor in one, as the model's files say."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from evalkit.contract.errors import MissingExtra, UserError
from evalkit.spec.models import ModelSpec

PACKAGES = ("torchvision", "num2words")
"""What some processors want beside transformers: those that also read videos, and SmolVLM's."""


def load(source: str, spec: ModelSpec) -> Any:
    """The processor; no code of the model runs. UserError where it cannot be had, naming a package that is missing."""
    from transformers import AutoProcessor

    if find_spec("PIL") is None:
        raise MissingExtra(f"{spec.name}, a model that reads pictures,", "pillow", "vision")
    try:
        found = AutoProcessor.from_pretrained(source, revision=spec.revision, trust_remote_code=False)
    except Exception as error:
        absent = [name for name in PACKAGES if find_spec(name) is None]
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        hint = f": install {' and '.join(absent)} (torchvision in the build of your torch)" if absent else ""
        raise UserError(f"{spec.name}: the model's picture processor does not load ({reason}){hint}") from error
    if getattr(found, "tokenizer", None) is None or getattr(found, "image_processor", None) is None:
        raise UserError(
            f"{spec.name}: has no processor of pictures and text ({type(found).__name__}): copy its "
            "preprocessor_config.json or processor_config.json there too"
        )
    return found


def identity(processor: Any) -> dict[str, Any]:
    """What of the processor changes pixels beside the model's files: which of its implementations is at hand."""
    return {"image_processor": type(processor.image_processor).__name__}
