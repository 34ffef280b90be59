"""What a study's YAML file may say; errors name file, line and key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from evalkit.contract.errors import UserError
from evalkit.contract.registry import did_you_mean
from evalkit.spec.strict import Strict, mistake
from evalkit.text.reading import read_yaml
from evalkit.training.recipe import Method

S = TypeVar("S", bound="Study")
Names = Annotated[tuple[str, ...], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]


class Study(Strict):
    """What every study says: the model, by ``--model``'s names, and where the data are."""

    model: str
    dtype: str = "float32"
    device: str = "auto"
    data_dir: Path | None = None
    bundled: bool = False
    """Bundled items in place of the data sets."""
    seed: int = 1234
    """Of what all parts share: which items are trained on, and which are held out."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of a generated answer; None: as each task says."""

    @property
    def gen_kwargs(self) -> dict[str, Any]:
        """What runs are told of generation."""
        return {} if self.max_tokens is None else {"max_gen_toks": self.max_tokens}


class Adaptation(Study):
    """The study of adaptation. Each method is trained on each task of ``train`` with each seed.

    ``train_items`` are drawn out of a task's evaluated split and ``eval_items`` out of the rest, which is never trained
    on. ``untouched`` tasks are never trained on at all: what is lost there is forgotten. ``evaluate_at`` are steps
    after which the held-out items are scored too; behind the last step all is. ``max_length`` bounds a training
    example.
    """

    train: Names = Field(min_length=1)
    untouched: Names = ()
    methods: tuple[Method, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(default=(1,), min_length=1)
    steps: int = Field(ge=1)
    evaluate_at: tuple[int, ...] = ()
    batch_size: int = Field(default=4, ge=1)
    train_items: int = Field(default=64, ge=1)
    eval_items: int = Field(default=50, ge=2)
    untouched_items: int = Field(default=50, ge=2)
    max_length: int = Field(default=256, ge=8)

    @model_validator(mode="after")
    def _sound(self) -> Adaptation:
        _once("methods", [one.label for one in self.methods])
        _once("seeds", list(self.seeds))
        _once("train and untouched", [*self.train, *self.untouched])
        if wrong := [one for one in self.evaluate_at if not 0 < one <= self.steps]:
            raise ValueError(f"evaluate_at {wrong[0]}: steps go from 1 to {self.steps}")
        return self

    @property
    def stops(self) -> tuple[int, ...]:
        """Steps after which something is scored, the last one among them."""
        return tuple(sorted({*self.evaluate_at, self.steps}))


class LoraHub(Study):
    """LoraHub on tasks it was not trained for: one LoRA is trained on each task of ``modules``; for each task of
    ``tasks`` weights are searched on ``examples`` items, once a seed.
    """

    modules: Names = Field(min_length=2)
    tasks: Names = Field(min_length=1)
    method: Method = Method(method="lora")
    seeds: tuple[int, ...] = Field(default=(1, 2, 3, 4, 5), min_length=1)
    steps: int = Field(default=20, ge=1)
    batch_size: int = Field(default=4, ge=1)
    train_items: int = Field(default=64, ge=1)
    max_length: int = Field(default=256, ge=8)
    examples: int = Field(default=5, ge=1)
    search_steps: int = Field(default=40, ge=1)
    eval_items: int = Field(default=50, ge=2)

    @model_validator(mode="after")
    def _sound(self) -> LoraHub:
        _once("modules and tasks", [*self.modules, *self.tasks])
        _once("seeds", list(self.seeds))
        if self.method.method != "lora":
            raise ValueError("method: only LoRAs can be added up")
        return self


def _once(what: str, values: list[Any]) -> None:
    if twice := next((one for place, one in enumerate(values) if one in values[:place]), None):
        raise ValueError(f"{what}: {twice!r} stands there twice")


def load(kind: type[S], path: Path) -> S:
    """The study in a YAML file. Raises UserError naming file, line and key."""
    found = read_yaml(path, "study")
    try:
        return kind.model_validate({} if found.data is None else found.data)
    except ValidationError as error:
        # A key that is misspelt is missing too; the spelling is what to tell.
        odd = next((one["loc"] for one in error.errors() if one["type"] == "extra_forbidden"), None)
        if odd is not None:
            name = ".".join(map(str, odd))
            near = did_you_mean(str(odd[-1]), kind.model_fields)
            raise UserError(f"{path}:{found.line(*odd)}: {name}: there is no such key{near}") from None
        wrong = mistake(error)
        where = wrong.where or "study"
        raise UserError(f"{path}:{found.line(*wrong.keys)}: {where}: {wrong.message}") from None


def written(study: BaseModel) -> dict[str, Any]:
    """A study as JSON values; where the data are is no part of it."""
    return study.model_dump(mode="json", exclude={"data_dir"})
