"""What a user asks for: settings from flags or YAML become validated models."""

from typing import Any

from evalkit.contract.moved import moved

OLD_NAMES = ("EngineSpec", "ModelSpec", "RunSpec", "TaskSpec")


def __getattr__(name: str) -> Any:
    """The old place of evalkit.spec.models, for installed plug-ins."""
    if name not in OLD_NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return moved(__name__, "evalkit.spec.models", stacklevel=3)(name)
