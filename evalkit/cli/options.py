"""The settings of `evalkit.spec.table` as options of commands: names, help and types come from there.

A command names the settings that it takes and receives those that were given as one mapping, which goes to
`evalkit.spec.config` as the settings of a file do::

    @takes("model", "dtype", "quant")
    def estimate(settings: Given, context: ...) -> None: ...
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from evalkit.spec import config
from evalkit.spec.models import ModelSpec
from evalkit.spec.table import SETTINGS, Setting

Given = dict[str, Any]
"""The settings that were given, by their keys; the first parameter of a command that ``takes`` some."""

Json = Annotated[bool, typer.Option("--json", help="As JSON.")]

_PLAIN = (int, float, Path)


def takes(
    *keys: str, required: Collection[str] = (), short: Mapping[str, str] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator that gives a command these settings as options, in place of its parameter ``settings``.

    ``required``: those that must be given; ``short``: other flags of one letter than the table's.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True).parameters
        ours = [_parameter(SETTINGS[key], key in required, (short or {}).get(key)) for key in keys]
        parameters = [
            new for old in own.values() for new in (ours if old.name == "settings" else [old.replace(kind=_KEYWORD)])
        ]

        @functools.wraps(command)
        def called(**given: Any) -> None:
            # An option that may be repeated and was not given is an empty list, which asks for nothing.
            settings = {key: given[key] for key in keys if given[key] not in (None, (), [])}
            command(settings=settings, **{name: value for name, value in given.items() if name not in keys})

        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {one.name: one.annotation for one in parameters}
        return called

    return decorate


_KEYWORD = inspect.Parameter.KEYWORD_ONLY


def model_spec(settings: Mapping[str, Any]) -> ModelSpec:
    """The model that a command without tasks asks for. Raises UserError that names the flag of a mistake."""
    (spec,) = config.expand(*config.merge({}, {**settings, "tasks": "none"}, config.Origin()))
    return spec.model


def _parameter(setting: Setting, required: bool, short: str | None) -> inspect.Parameter:
    option = setting.option
    switch = not setting.takes_value
    flag = setting.flag
    if switch and setting.default is not False:
        flag += f"/--no-{flag.removeprefix('--')}"
    info = typer.Option(
        flag,
        *(option.short if short is None else short).split(),
        rich_help_panel=option.panel,
        help=_help(setting, required),
        # An empty one keeps a switch from showing a value.
        metavar="" if switch else setting.metavar or None,
        show_default=False,
        autocompletion=COMPLETIONS.get(setting.key),
    )
    default = inspect.Parameter.empty if required else None
    kind = _type(setting)
    return inspect.Parameter(
        setting.key, _KEYWORD, default=default, annotation=Annotated[kind if required else kind | None, info]
    )


def _tasks(incomplete: str) -> list[str]:
    """Tasks and groups that continue the last of a comma-separated list."""
    from evalkit.api.listing import task_rows

    before, comma, last = incomplete.rpartition(",")
    return [before + comma + row.name for row in task_rows().rows if row.name.startswith(last)]


def _models(incomplete: str) -> list[str]:
    """Models with names of their own, and folders that hold one."""
    from evalkit.api.listing import model_rows

    names = [str(row["name"]) for row in model_rows()["models"]]
    head = Path(incomplete).parent if "/" in incomplete else Path()
    folders = [str(one.parent) for one in head.glob("*/config.json")] if head.is_dir() else []
    return [name for name in [*names, *sorted(folders)] if name.startswith(incomplete)]


COMPLETIONS = {"tasks": _tasks, "model": _models}
"""What the shell offers for a setting's value."""


def _help(setting: Setting, required: bool) -> str:
    """The help with what happens otherwise: None on the command line means "not given"."""
    text = setting.option.help
    if setting.option.env:
        text += f" [env: {setting.option.env}]"
    if setting.default_text and not required:
        text += f" [default: {setting.default_text}]"
    return text.replace("[", r"\[")  # which rich would take for markup


def _type(setting: Setting) -> Any:
    """What typer makes of the word; a small language and a choice are read and checked by the spec."""
    if not setting.takes_value:
        return bool
    if setting.option.repeated:
        return list[str]
    plain = setting.type in _PLAIN and setting.option.read is None and not setting.option.bare
    return setting.type if plain else str
