"""The base of everything that a user writes and pydantic checks, and its first mistake in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from evalkit.contract.errors import UserError
from evalkit.contract.registry import did_you_mean

M = TypeVar("M", bound=BaseModel)
PREFIXES = ("Value error, ", "Assertion failed, ")
"""What pydantic puts before the sentence of a validator of ours."""


class Strict(BaseModel):
    """A value that does not change, and takes no field that it does not know."""

    # A schema is built when it is first needed: the command line's help needs the fields alone.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Mistake(NamedTuple):
    """What pydantic says first: where (its names of fields and places in lists), its kind, its sentence."""

    keys: tuple[str | int, ...]
    kind: str
    message: str

    @property
    def where(self) -> str:
        """The keys as "tasks.0.name"; "" for the whole."""
        return ".".join(str(key) for key in self.keys)


def mistake(error: ValidationError) -> Mistake:
    """The first mistake of several."""
    first = error.errors()[0]
    message = str(first["msg"])
    for prefix in PREFIXES:
        message = message.removeprefix(prefix)
    return Mistake(tuple(first["loc"]), str(first["type"]), message)


def model_args(model: type[M], given: Mapping[str, Any], who: str) -> M:
    """The arguments of ``--model_args`` as ``model``; ``who`` ("a cascade") takes them. Raises UserError."""
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        found = mistake(error)
        if found.kind == "extra_forbidden":
            near = did_you_mean(found.where, model.model_fields)
            known = ", ".join(model.model_fields)
            raise UserError(
                f"--model_args: {who} does not know {found.where}{near if 'mean' in near else ''}; it takes {known}"
            ) from None
        raise UserError(f"--model_args {found.where}: {found.message}") from None


def quoted(value: Any) -> Any:
    """Refuse what YAML made a boolean or a number of where a text is meant; pydantic would make an index of it."""
    several = isinstance(value, list | tuple)
    for one in value if several else (value,):
        if isinstance(one, bool) or (several and isinstance(one, int | float)):
            given = str(one).lower() if isinstance(one, bool) else one
            raise ValueError(f"{given} is no text in YAML: write it in quotes to mean the text")
    return value
