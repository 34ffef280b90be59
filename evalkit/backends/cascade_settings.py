"""The arguments of a cascade, checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from evalkit.backends import answer_scorer, opening
from evalkit.backends.confidence import Rule
from evalkit.contract.capabilities import CHAT_SETTINGS
from evalkit.contract.errors import MissingExtra, UserError
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.spec.strict import Strict, mistake, model_args

PREFIX = "cascade:"


class Settings(Strict):
    """The arguments of a cascade."""

    rule: Rule = "max_prob"
    scorer: Path | None = None
    threshold: float | list[float] = 0.6
    prices: list[float | tuple[float, float]] | None = None
    alone: bool = True
    stages: list[str | dict[str, Any]] = Field(default_factory=list)


def require(model: ModelSpec) -> None:
    """UserError for arguments that cannot be, and MissingExtra for what a stage needs, before anything is loaded."""
    chosen = settings(model)
    specs = specs_of(model, chosen)
    thresholds_of(chosen, len(specs))
    prices_of(chosen, len(specs))
    scorer = None if chosen.scorer is None else answer_scorer.read(chosen.scorer)
    if scorer is not None and any(one.words for one in scorer.stages) and find_spec("sklearn") is None:
        raise MissingExtra("a learned scorer", "scikit-learn", "routing")
    for place, spec in enumerate(specs):
        opening.require(opening.resolve(spec), EngineSpec())
        if scorer is not None and place < len(specs) - 1:
            scorer.of(spec.label or spec.name)


def settings(model: ModelSpec) -> Settings:
    """The arguments of the model's spec."""
    return model_args(Settings, model.args, "a cascade")


def specs_of(model: ModelSpec, chosen: Settings) -> list[ModelSpec]:
    """The stages' specs; what the cascade's own spec says of loading and prompting holds for all."""
    shared = {name: getattr(model, name) for name in ("chat_template", "system", "device", *sorted(CHAT_SETTINGS))}
    given: Sequence[str | Mapping[str, Any]] = chosen.stages or [
        name.strip() for name in model.name.removeprefix(PREFIX).split(",") if name.strip()
    ]
    if len(given) < 2:
        raise UserError(f"--model {model.name}: a cascade needs at least two models: cascade:CHEAP,DEAR")
    specs = []
    for one in given:
        entry = {"name": one} if isinstance(one, str) else dict(one)
        try:
            specs.append(ModelSpec.model_validate({**shared, **entry}))
        except ValidationError as error:
            raise UserError(f"--model_args stages: {one!r}: {mistake(error).message}") from None
    if nested := next((spec.name for spec in specs if spec.name.startswith(PREFIX)), None):
        raise UserError(f"--model {model.name}: {nested} is a cascade itself: name its models in this one")
    return specs


def thresholds_of(chosen: Settings, count: int) -> list[float]:
    """A threshold for each of ``count`` models; the last one's is 0."""
    given = chosen.threshold
    found = [*given, 0.0] if isinstance(given, list) else [*[given] * (count - 1), 0.0]
    if len(found) != count or not all(0 <= value <= 1 for value in found):
        raise UserError(
            f"--model_args threshold={given}: write one number from 0 to 1, or a list with one for each of the first "
            f"{count - 1} models"
        )
    return found


def prices_of(chosen: Settings, count: int) -> list[tuple[float, float] | None]:
    """Prices of a million prompt and output tokens for each of ``count`` models; None: not given."""
    if chosen.prices is None:
        return [None] * count
    if len(chosen.prices) != count:
        raise UserError(f"--model_args prices: {len(chosen.prices)} prices for {count} models: give one a model")
    return [price if isinstance(price, tuple) else (price, price) for price in chosen.prices]
