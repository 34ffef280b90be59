"""The transformers backend: any causal model that AutoModelForCausalLM loads, on CPU, CUDA or MPS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.contract.errors import MissingExtra

if TYPE_CHECKING:
    from evalkit.backends.hf.backend import HfBackend
    from evalkit.backends.hf.tokens import Tokens
    from evalkit.spec.models import EngineSpec, ModelSpec


def load(model: ModelSpec, engine: EngineSpec) -> HfBackend:
    """Load ``model`` and return its backend. Raises UserError for a model that cannot be loaded."""

    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtra("the backend hf", error.name or "torch", "hf") from error
    from evalkit.backends.hf.backend import HfBackend
    from evalkit.backends.hf.loading import load_parts

    return HfBackend(load_parts(model), model, engine)


def load_tokens(model: ModelSpec) -> Tokens:
    """The tokenizer without the weights. Raises UserError where it cannot be loaded."""
    from evalkit.backends.hf.loading import load_tokenizer
    from evalkit.backends.hf.tokens import Tokens

    return Tokens(load_tokenizer(model), model.add_bos, model.chat_template)
