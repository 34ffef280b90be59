"""lm-eval's values as plain JSON values: what its documents, targets and settings may hold is not limited to those."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.task.lm_eval.visuals import digest_of, is_picture


def plain(value: Any) -> Any:
    """JSON values only: arrays become lists, what is not finite None, functions their name, pictures a hash of their
    pixels, all else its text.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=str)
    if hasattr(value, "tolist"):  # numpy arrays and scalars
        return plain(value.tolist())
    if is_picture(value):
        return digest_of(value)
    if callable(value):
        return getattr(value, "__qualname__", type(value).__qualname__)
    return value.name if isinstance(value, Path) else str(value)


def number(value: Any) -> float | None:
    """A number as a float (numpy's and booleans too); None for anything else and for what is not finite."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, bool | int | float):
        return None
    return float(value) if math.isfinite(value) else None


def numbers(value: Any) -> tuple[float, ...] | None:
    """A flat, non-empty sequence of numbers as floats; None for anything else."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, list | tuple) or not value:
        return None
    found = [number(item) for item in value]
    return None if any(item is None for item in found) else tuple(item for item in found if item is not None)
