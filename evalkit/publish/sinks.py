"""Where people keep their numbers: `--log-to NAME[:WHERE]`, one entry point of the group ``evalkit.sinks`` each.

WHERE is the one thing that a place needs to be told (wandb:my-project), or settings of it by name
(wandb:project=evals,name=first).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from evalkit.contract import registry
from evalkit.contract.errors import MissingExtra, UserError
from evalkit.spec.values import key_values
from evalkit.text.secrets import mask_text

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.contract.types import RunResult

MOST_ROWS = 10_000
"""Samples of a task that go into a table; of more the first so many, and it is said."""


class Published(Protocol):
    """A finished run as a place is handed it: an `evalkit.Run`."""

    path: Path

    @property
    def result(self) -> RunResult:
        """Everything that results.json holds."""
        ...

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        ...

    def rows(self) -> list[dict[str, Any]]:
        """One mapping a metric, as `evalkit.Run.to_pandas` has them."""
        ...

    def samples(self, task: str) -> pd.DataFrame:
        """One row a document."""
        ...


Log = Callable[[Published, Mapping[str, str], bool], str]
"""``log(run, settings, samples)`` hands over a run's numbers (with ``samples`` its samples, where the place has
tables) and returns where they are now, in words."""


@dataclass(frozen=True, slots=True)
class Sink:
    """A place for numbers. ``main`` is the setting that stands alone behind the colon, ``settings`` are all."""

    log: Log
    main: str
    settings: frozenset[str]
    module: str = ""
    """What must be importable; "" for nothing beside evalkit."""
    package: str = ""
    extra: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """One --log-to, read: a sink that is there, and its settings."""

    written: str
    sink: Sink = field(repr=False)
    settings: Mapping[str, str]


def target(text: str) -> Target:
    """What ``text`` ("wandb:my-project") names. UserError for an unknown name, an unknown setting, and a place whose
    package is not installed: all before a model is loaded.
    """
    name, _, where = text.strip().partition(":")
    if name not in registry.names(registry.SINKS):
        near = registry.did_you_mean(name, registry.names(registry.SINKS))
        raise UserError(f"--log-to {mask_text(text)}: there is no place called {name!r}{near}")
    found = registry.load(registry.SINKS, name)
    sink = found if isinstance(found, Sink) else Sink(found, "where", frozenset())
    if sink.module and find_spec(sink.module) is None:
        raise MissingExtra(f"--log-to {name}", sink.package or sink.module, sink.extra)
    settings: dict[str, str] = {}
    if re.match(r"\w+=", where) and sink.settings:
        settings = {key: str(value) for key, value in key_values(f"--log-to {name}", where).items()}
    elif where:
        settings = {sink.main: where}
    if unknown := [key for key in settings if sink.settings and key not in sink.settings]:
        near = registry.did_you_mean(unknown[0], sink.settings)
        raise UserError(f"--log-to {name}: unknown setting {unknown[0]!r}{near}")
    return Target(mask_text(text.strip()), sink, settings)


def send(run: Published, targets: Sequence[Target], samples: bool, note: Callable[[str], None]) -> int:
    """Hand ``run`` to every place; the number that failed. What fails is said by ``note`` and loses nothing."""
    failed = 0
    for one in targets:
        try:
            note(f"logged to {one.sink.log(run, one.settings, samples)}")
        except Exception as error:
            reason = mask_text(" ".join(str(error).split()))[:300]
            kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            failed += 1
            note(
                f"--log-to {one.written}: failed: {kind}{reason}: the run is whole in {run.path}; send it again: "
                f"evalkit log {run.path} --to {one.written}"
            )
    return failed
