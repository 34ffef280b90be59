"""Which kind of model a configuration describes, and whether this backend can ask it anything."""

from __future__ import annotations

from typing import Any, Literal

from evalkit.contract.capabilities import Capabilities
from evalkit.contract.errors import UserError
from evalkit.spec.models import ModelSpec

Family = Literal["causal", "encoder-decoder", "classifier", "image-text"]
"""What continues a text, writes one after reading another, gives a text's class, or continues pictures and text."""

PICTURES = "pictures"
"""The argument that loads a model which is also a plain language model (Gemma 3) with its eyes."""

HEAD = "ForSequenceClassification"
CLASSIFIER = Capabilities(answers=frozenset(("classify",)), counts_tokens=True, architecture="classifier")
"""What a classifier can, known from its configuration."""


IMAGE_TEXT = Capabilities(
    answers=frozenset(("loglikelihood", "generate")),
    counts_tokens=True,
    stops_between_passes=True,
    modalities=frozenset(("text", "image")),
)
"""What a model of pictures and text can."""


def reads_pictures(model_type: Any, wanted: bool) -> bool:
    """Whether models of a type are loaded to read pictures: those that are nothing else, and ``wanted`` ones."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    )

    return model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES and (
        wanted or model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    )


def read_config(source: str, revision: str | None) -> Any:
    """A model's configuration; no code of the model runs."""
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False)


def of(spec: ModelSpec, source: str) -> Family:
    """The family of the model at ``source``. Raises UserError as `family`."""
    return family(spec.name, read_config(source, spec.revision), asks_for_pictures(spec))


def asks_for_pictures(spec: ModelSpec) -> bool:
    """Whether the user wants the model to read pictures. UserError for a value that is neither yes nor no."""
    value = spec.args.get(PICTURES, False)
    if str(value).lower() not in ("true", "false"):
        raise UserError(f"--model_args {PICTURES}={value}: say true or false")
    return str(value).lower() == "true"


def family(name: str, config: Any, pictures: bool = False) -> Family:
    """The family of a model; ``pictures``: it is asked to read some. Raises UserError for one that cannot answer here,
    naming what it is and what it can do.
    """
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    )

    kinds = [str(kind) for kind in getattr(config, "architectures", None) or ()]
    shown = ", ".join(kinds) or type(config).__name__.removesuffix("Config")
    if any(kind.endswith(HEAD) for kind in kinds):
        return "classifier"
    if reads_pictures(getattr(config, "model_type", None), pictures):
        return "image-text"
    if pictures:
        raise UserError(f"{name}: --model_args {PICTURES}: the model reads none ({shown}): leave it out")
    if getattr(config, "is_encoder_decoder", False):
        if getattr(config, "model_type", None) in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
            return "encoder-decoder"
        raise UserError(f"{name}: is an encoder-decoder that does not read text ({shown}): give a language model")
    if any(kind.endswith("ForMaskedLM") for kind in kinds):
        raise UserError(
            f"{name}: is a masked language model ({shown}): it fills in masked words and neither continues nor scores "
            "a text; trained with a head for it (AutoModelForSequenceClassification) it serves classification (cola, "
            "sst2, mrpc, rte, ...): give such a model, or a decoder"
        )
    heads = ("ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice")
    if any(kind.endswith(heads) for kind in kinds):
        raise UserError(f"{name}: has a head of its own ({shown}) and no output over its vocabulary: give a decoder")
    if getattr(config, "model_type", None) not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise UserError(
            f"{name}: is no language model that continues a text ({shown}, model type "
            f"{getattr(config, 'model_type', 'unknown')}): give a decoder"
        )
    return "causal"
