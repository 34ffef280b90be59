"""The transformers backend: decoders, encoder-decoders and classifiers that transformers loads, on CPU, CUDA or MPS."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from evalkit.backends.hf.architecture import CLASSIFIER, IMAGE_TEXT
from evalkit.backends.hf.hub import has_eyes, is_classifier, look_up, window
from evalkit.backends.hf.local_files import KNOWN, local_folder
from evalkit.backends.hf.packages import package_of
from evalkit.backends.hf.tokens import Tokens
from evalkit.backends.lm_eval_arguments import of_transformers
from evalkit.contract.capabilities import CHAT_SETTINGS, COMMON_SETTINGS, BackendType, Capabilities
from evalkit.contract.errors import MissingExtra

if TYPE_CHECKING:
    from evalkit.backends.hf.backend import HfBackend
    from evalkit.backends.hf.encoder_decoder import EncoderDecoderBackend
    from evalkit.contract.backend import TextBackend
    from evalkit.spec.models import EngineSpec, ModelSpec


def load(model: ModelSpec, engine: EngineSpec) -> HfBackend | EncoderDecoderBackend | TextBackend:
    """Load ``model`` and return its backend. Raises UserError for a model that cannot be loaded."""
    _require_packages()
    from evalkit.backends.hf.backend import HfBackend
    from evalkit.backends.hf.loading import load_parts

    parts = load_parts(model)
    if parts.family == "encoder-decoder":
        from evalkit.backends.hf.encoder_decoder import EncoderDecoderBackend

        return EncoderDecoderBackend(parts, model, engine)
    if parts.family == "image-text":
        from evalkit.backends.hf.image_text import ImageTextBackend

        return ImageTextBackend(parts, model, engine)
    if parts.family == "classifier":
        from evalkit.backends.hf.classifier import ClassifierBackend

        return ClassifierBackend(parts, model, engine)
    return HfBackend(parts, model, engine)


def find(model: ModelSpec) -> None:
    """UserError for a folder without a model and for a name that neither a folder nor the Hub has."""
    name = model.name
    if any(name == known.name for known in KNOWN) or name.endswith(".gguf"):
        return
    if local_folder(model) is None and find_spec("huggingface_hub") is not None:
        look_up(name, model.revision)


def require(model: ModelSpec) -> None:
    """MissingExtra for adapters, a quantization and a named model whose packages are not there."""
    if model.peft and find_spec("peft") is None:
        raise MissingExtra("--peft", "peft", "peft")
    if model.quant is not None and find_spec(package := package_of(model.quant)) is None:
        raise MissingExtra(f"--quant {model.quant}", package, "quant")
    for known in KNOWN:
        if known.name == model.name and find_spec(known.package) is None:
            raise MissingExtra(f"the model {known.name}", known.package.replace("_", "-"), known.extra)


def describe(model: ModelSpec) -> Capabilities:
    """What the model can, from its configuration alone."""
    if is_classifier(model):
        return CLASSIFIER
    can = IMAGE_TEXT if has_eyes(model) else CAPABILITIES
    return replace(can, window=window(model))


def load_tokens(model: ModelSpec) -> Tokens:
    """The tokenizer without the weights. Raises UserError where it cannot be loaded."""
    _require_packages()
    from evalkit.backends.hf.loading import load_tokenizer

    tokenizer, family = load_tokenizer(model)
    return Tokens(tokenizer, model, keep_end=family == "encoder-decoder", sees=family == "image-text")


def _require_packages() -> None:
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtra("the backend hf", error.name or "torch", "hf") from error


CAPABILITIES = Capabilities(
    reproduces_batches=True, shares_prefixes=True, counts_tokens=True, stops_between_passes=True, ignores_end=True
)

kind = BackendType(
    "hf",
    load,
    settings=COMMON_SETTINGS
    | CHAT_SETTINGS
    | {"quant", "peft", "peft_merge", "prompt_lookup", "draft", "draft_tokens", "allow_missing_weights"},
    suffixes=(".gguf",),
    models=KNOWN,
    claims_rest=True,
    needs=("torch", "transformers"),
    extra="hf",
    require=require,
    capabilities=CAPABILITIES,
    load_tokens=load_tokens,
    find=find,
    describe=describe,
    translate=of_transformers,
)
