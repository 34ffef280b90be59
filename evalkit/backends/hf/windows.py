"""A model's sliding window, and the same model with a smaller one.

A window of thousands of tokens cannot be crossed while a model is loaded, so the probe tries out the model with a
window of a few tokens: its masks and its layers read the size from its configuration and from fields of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

FIELD = "sliding_window"


def size(model: Any) -> int | None:
    """Tokens that a model's layers with a window see, themselves included; None where no layer has one."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ())
    window = getattr(config, FIELD, None)
    slides = "sliding_attention" in kinds if kinds else getattr(config, "use_sliding_window", True)
    return int(window) if window and slides else None


@contextmanager
def narrowed(model: Any, window: int) -> Iterator[None]:
    """The model with a window of ``window`` tokens wherever it has one."""
    own = size(model)
    holders = [model.config.get_text_config(), *model.modules()]
    found = [holder for holder in holders if own is not None and vars(holder).get(FIELD) == own]
    try:
        for holder in found:
            setattr(holder, FIELD, window)
        yield
    finally:
        for holder in found:
            setattr(holder, FIELD, own)
