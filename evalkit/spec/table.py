"""Every setting of a run by its key: made of the fields of `evalkit.spec.models` and their `Option`, never by hand.

A setting's key is its key in a YAML file; with dashes it is the flag.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from evalkit.spec.models import EngineSpec, ModelSpec, RunSpec, TaskSpec
from evalkit.spec.option import PANELS, Option

Part = Literal["run", "model", "engine", "task"]


@dataclass(frozen=True, slots=True)
class Setting:
    """A field of a spec as a setting: ``part`` and ``field`` say where in a RunSpec it stands."""

    key: str
    part: Part
    field: str
    option: Option
    info: FieldInfo

    @property
    def flag(self) -> str:
        """The long flag, "--num-fewshot"."""
        return "--" + self.key.replace("_", "-")

    @property
    def path(self) -> str:
        """Where it stands in spec.json, "engine.cache"."""
        return self.field if self.part == "run" else f"{self.part}.{self.field}"

    @property
    def type(self) -> Any:
        """The field's type without None."""
        return _without_none(self.info.annotation)

    @property
    def default(self) -> Any:
        """The field's default; None for one that must be given."""
        return None if self.info.is_required() else self.info.get_default(call_default_factory=True)

    @property
    def default_text(self) -> str:
        """What happens where the setting is left out, for people; empty where there is nothing to say."""
        value = self.default
        if self.option.default or value is None or value is False or value in ((), {}):
            return self.option.default
        if value is True:
            return "true" if self.option.bare else "yes"
        return f"{value:g}" if isinstance(value, float) else str(value)

    @property
    def metavar(self) -> str:
        """What stands for the value in the help; empty where the type says it, and for a flag that takes none."""
        choices = get_args(self.type) if get_origin(self.type) is Literal else ()
        return self.option.metavar or "|".join(map(str, choices))

    @property
    def takes_value(self) -> bool:
        """Whether a value follows the flag (or may follow it)."""
        return self.type is not bool or bool(self.option.bare)


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        kept = [one for one in get_args(annotation) if one is not type(None)]
        return kept[0] if len(kept) == 1 else Union[tuple(kept)]  # noqa: UP007
    return annotation


def _of(model: type[BaseModel], part: Part) -> Iterator[Setting]:
    for name, info in model.model_fields.items():
        for option in info.metadata:
            if isinstance(option, Option):
                yield Setting(option.name or name, part, name, option, info)


def _all() -> dict[str, Setting]:
    found = [*_of(RunSpec, "run"), *_of(ModelSpec, "model"), *_of(EngineSpec, "engine")]
    return {one.key: one for one in sorted(found, key=lambda one: PANELS.index(one.option.panel))}


SETTINGS: Mapping[str, Setting] = _all()
"""By key, in the order of the help."""

OF_TASK: Mapping[str, Setting] = {one.key: one for one in _of(TaskSpec, "task")}
"""What an entry of ``tasks`` may say of itself beside its name."""

ALIASES: Mapping[str, str] = {alias: one.key for one in SETTINGS.values() for alias in one.option.aliases}
"""Other spellings of a setting to its key."""

BY_PATH: Mapping[str, Setting] = {one.path: one for one in SETTINGS.values()}
"""By their place in spec.json."""

FREE = frozenset(one.path for one in SETTINGS.values() if one.option.free)
"""Places in spec.json that cannot change an answer beyond rounding: a resumed run may have others."""


def of_panel(*panels: str) -> tuple[str, ...]:
    """The keys under these headings of the help."""
    return tuple(key for key, one in SETTINGS.items() if one.option.panel in panels)
