"""A model of entailment: how likely does one text contradict, or support, another? Any of transformers' sequence
classifiers.

Loaded as every model here: from a folder or from the Hub at a commit, weights from safetensors alone, and no code but
transformers' own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Literal

from evalkit.backends.hf.fingerprint import fingerprint, folder_hashes
from evalkit.backends.hf.quiet import quiet
from evalkit.contract.errors import MissingExtra, UserError
from evalkit.spec.models import ModelSpec

Pair = tuple[str, str]
"""Premise and hypothesis."""
Texts = tuple[str, ...]
"""What a classifier is shown at once: a text, or a pair."""
Probabilities = Callable[[Sequence[Texts]], Sequence[tuple[float, ...] | None]]
"""The logits of every class for each pair; None for a pair longer than the model's window."""
Contradiction = Callable[[Sequence[Pair]], Sequence[float | None]]
"""P(contradiction) of each pair among entailment and contradiction; None for a pair longer than the model's window."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Which model (a folder or a Hub id), and which of its classes mean what (None: by their names)."""

    model: str
    revision: str | None = None
    device: str = "auto"
    batch_size: int = 16
    entail: int | None = None
    contradict: int | None = None
    premise: Literal["sample", "sentence"] = "sample"
    """What stands first in a pair: the paper puts the sample there, the authors' package the sentence."""
    who: str = "metric selfcheck_nli"
    """Who asks, for messages."""
    purpose: str = "entailment"
    """What the model must be trained on, for messages."""

    @classmethod
    def of(cls, args: Mapping[str, Any]) -> Settings:
        """From a metric's arguments. UserError for one that does not exist or makes no sense."""
        known = {field.name for field in fields(cls)} - {"who", "purpose"}
        if unknown := sorted(set(args) - known):
            raise UserError(f"metric selfcheck_nli: there is no argument {unknown[0]!r}; it takes {', '.join(known)}")
        if not args.get("model"):
            raise UserError("metric selfcheck_nli: which model of entailment? Name it: --tasks selfcheckgpt:nli=MODEL")
        found = cls(**args)
        if found.premise not in ("sample", "sentence"):
            raise UserError(f"metric selfcheck_nli: premise is {found.premise!r}; choose sample or sentence")
        if (found.entail is None) != (found.contradict is None) or found.entail == found.contradict is not None:
            raise UserError("metric selfcheck_nli: give the numbers of two classes, as entail and as contradict")
        return found


def probability(entail: float, contradict: float) -> float:
    """P(contradiction) from the two classes' logits: e^c / (e^e + e^c)."""
    return 0.5 * (1 + math.tanh((contradict - entail) / 2))


def check(settings: Settings) -> None:
    """MissingExtra without transformers; UserError for a model that is nowhere or that tells no contradiction."""
    from importlib.util import find_spec

    if find_spec("torch") is None or find_spec("transformers") is None:
        raise MissingExtra(settings.who, "transformers", "hf")
    _places(settings, config_of(settings))
    _part("AutoTokenizer", settings)
    refuse_pickled(settings)


@lru_cache(maxsize=4)
def identity(settings: Settings) -> str:
    """Twelve hexadecimal digits that stand for the model's weights (its commit, or its files' hashes)."""
    from evalkit.backends.hf.loading import locate

    spec, _, folder = locate(_spec(settings))
    return fingerprint(folder_hashes(folder) if folder else {"name": spec.name, "revision": spec.revision})[:12]


def load(settings: Settings) -> Contradiction:
    """The model as one that tells contradictions."""
    entail, contradict = _places(settings, config_of(settings))
    classify = classifier(settings)

    def contradictions(pairs: Sequence[Pair]) -> list[float | None]:
        return [None if one is None else probability(one[entail], one[contradict]) for one in classify(pairs)]

    return contradictions


def config_of(settings: Settings) -> Any:
    """The model's configuration. UserError where it has none, or is no sequence classifier's."""
    config = _part("AutoConfig", settings)
    if not any(str(name).endswith("ForSequenceClassification") for name in config.architectures or ()):
        raise UserError(
            f"{settings.who}: {settings.model} is no model for sequence classification; give one that was "
            f"trained on {settings.purpose}"
        )
    return config


@lru_cache(maxsize=1)
def classifier(settings: Settings) -> Probabilities:
    """The model, loaded; the last one is kept."""
    import torch
    from transformers import AutoModelForSequenceClassification

    from evalkit.backends.hf.loading import locate, pick_device

    tokenizer = _part("AutoTokenizer", settings)
    device = pick_device(settings.device)
    spec, source, _ = locate(_spec(settings))
    with quiet():
        try:
            model, report = AutoModelForSequenceClassification.from_pretrained(
                source,
                revision=spec.revision,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
                trust_remote_code=False,
            )
        except Exception as error:  # transformers' own errors are of many kinds
            raise _unloadable(settings, error) from error
    if missing := sorted(report["missing_keys"]):
        raise UserError(
            f"{settings.who}: the weights of {settings.model} lack {missing[0]}; give a model that was trained "
            f"on {settings.purpose}"
        )
    model.eval().to(device)
    window = min(tokenizer.model_max_length, _positions(model.config))

    def classify(pairs: Sequence[Texts]) -> list[tuple[float, ...] | None]:
        found: list[tuple[float, ...] | None] = [None] * len(pairs)
        lengths = [len(tokenizer(*pair)["input_ids"]) for pair in pairs]
        fitting = [place for place, length in enumerate(lengths) if length <= window]
        for start in range(0, len(fitting), settings.batch_size):
            batch = fitting[start : start + settings.batch_size]
            asked = tokenizer(*map(list, zip(*(pairs[place] for place in batch), strict=True)), padding=True,
                              return_tensors="pt").to(device)  # fmt: skip
            with torch.inference_mode():
                logits = model(**asked).logits.double().tolist()
            for place, row in zip(batch, logits, strict=True):
                found[place] = tuple(row)
        return found

    return classify


def _spec(settings: Settings) -> Any:

    return ModelSpec(name=settings.model, revision=settings.revision, device=settings.device)


@lru_cache(maxsize=8)
def _part(kind: str, settings: Settings) -> Any:
    """The model's configuration ("AutoConfig") or tokenizer ("AutoTokenizer")."""
    import transformers

    from evalkit.backends.hf.loading import locate

    spec, source, _ = locate(_spec(settings))
    with quiet():
        try:
            return getattr(transformers, kind).from_pretrained(source, revision=spec.revision, trust_remote_code=False)
        except Exception as error:
            raise _unloadable(settings, error) from error


def _places(settings: Settings, config: Any) -> tuple[int, int]:
    """The classes of entailment and contradiction: as given, by name, or of two without names the first and second."""
    names = {int(place): str(name).lower() for place, name in config.id2label.items()}
    if settings.entail is not None and settings.contradict is not None:
        if not {settings.entail, settings.contradict} <= set(names):
            raise UserError(f"{settings.who}: {settings.model} has the classes {listed(names)}")
        return settings.entail, settings.contradict
    entail = [place for place, name in names.items() if name.startswith("entail")]
    contradict = [place for place, name in names.items() if name.startswith("contradict")]
    if len(entail) == len(contradict) == 1:
        return entail[0], contradict[0]
    if sorted(names.values()) == ["label_0", "label_1"]:
        return 0, 1
    raise UserError(
        f"{settings.who}: which classes of {settings.model} mean entailment and contradiction? It has "
        f"{listed(names)}; give their numbers, as entail and as contradict"
    )


def refuse_pickled(settings: Settings) -> None:
    """UserError for a model of the Hub whose weights are pickled; a folder's were looked at when it was found."""
    from huggingface_hub import HfApi

    from evalkit.backends.hf.loading import locate

    spec, source, folder = locate(_spec(settings))
    if folder is not None or source != spec.name:
        return
    try:
        files = HfApi().list_repo_files(spec.name, revision=spec.revision)
    except Exception:  # without a network, loading will tell
        return
    if not any(file.endswith(".safetensors") for file in files):
        raise UserError(
            f"{settings.who}: {settings.model} has no weights in safetensors at this revision; look for a pull "
            "request that adds them (revision=refs/pr/1), or take another model"
        )


def window_of(settings: Settings) -> tuple[Any, int]:
    """The model's tokenizer, and how many tokens a pair may have."""
    tokenizer = _part("AutoTokenizer", settings)
    return tokenizer, min(tokenizer.model_max_length, _positions(_part("AutoConfig", settings)))


def _positions(config: Any) -> int:
    return getattr(config, "max_position_embeddings", None) or 10**9


def listed(names: Mapping[int, str]) -> str:
    return ", ".join(f"{place} ({name})" for place, name in sorted(names.items()))


def _unloadable(settings: Settings, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    return UserError(
        f"{settings.who}: the model {settings.model} does not load ({reason}); give a folder or a Hub id with "
        "a tokenizer, and weights in safetensors"
    )
