"""Which kind of model a configuration describes, and whether this backend can ask it anything."""

from __future__ import annotations

from typing import Any, Literal

from evalkit.contract.capabilities import Capabilities
from evalkit.contract.errors import UserError

Family = Literal["causal", "encoder-decoder", "classifier"]
"""What continues a text, writes one after reading another, or gives a text's class."""

HEAD = "ForSequenceClassification"
CLASSIFIER = Capabilities(answers=frozenset(("classify",)), counts_tokens=True, architecture="classifier")
"""What a classifier can, known from its configuration."""


def read_config(source: str, revision: str | None) -> Any:
    """A model's configuration; no code of the model runs."""
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False)


def family(name: str, config: Any) -> Family:
    """The family of a model. Raises UserError for one that cannot answer here, naming what it is and what it can do."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    )

    kinds = [str(kind) for kind in getattr(config, "architectures", None) or ()]
    shown = ", ".join(kinds) or type(config).__name__.removesuffix("Config")
    if any(kind.endswith(HEAD) for kind in kinds):
        return "classifier"
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
