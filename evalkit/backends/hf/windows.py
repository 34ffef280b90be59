"""A model's sliding window, and the same model with a smaller one.

A window of thousands of tokens cannot be crossed while a model is loaded, so the probe tries out the model with a
window of a few tokens: its masks and its layers read the size from its configuration and from fields of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

FIELD, LOCAL = "sliding_window", "window_size"
"""Where the size stands; the second in GPT-Neo, whose layers hold their masks as well."""


def size(model: Any) -> int | None:
    """Tokens that a model's layers with a window see, themselves included; None where no layer has one."""
    config = model.config.get_text_config()
    if "local" in (getattr(config, "attention_layers", None) or ()):
        return int(config.window_size)
    kinds = set(getattr(config, "layer_types", None) or ())
    window = getattr(config, FIELD, None)
    slides = "sliding_attention" in kinds if kinds else getattr(config, "use_sliding_window", True)
    return int(window) if window and slides else None


@contextmanager
def narrowed(model: Any, window: int) -> Iterator[None]:
    """The model with a window of ``window`` tokens wherever it has one."""
    own = size(model)
    holders = [model.config.get_text_config(), *model.modules()]
    fields = [(holder, name) for holder in holders for name in (FIELD, LOCAL) if vars(holder).get(name) == own]
    local = [module for module in model.modules() if getattr(module, "attention_type", None) == "local"]
    masks = [(module, module.bias) for module in local if "bias" in dict(module.named_buffers(recurse=False))]
    try:
        for holder, name in fields if own is not None else ():
            setattr(holder, name, window)
        for module, mask in masks:
            module.bias = mask & ~mask.tril(-window)
        yield
    finally:
        for holder, name in fields if own is not None else ():
            setattr(holder, name, own)
        for module, mask in masks:
            module.bias = mask
