"""`evalkit.rescore`: a run's stored answers, scored again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.api.reporting import RunLike, run_path
from evalkit.api.run import Run
from evalkit.api.running import Reported, ended
from evalkit.contract.errors import UserError
from evalkit.runner.rescoring import rescore as carry_out
from evalkit.spec import config, table
from evalkit.store import RunDir

if TYPE_CHECKING:
    from evalkit.spec.models import RunSpec, TaskSpec

SETTINGS = ("metrics", "allow_code_execution", "include_path", "data_dir", "output", "log_samples", "log_to")
"""What may be told anew when stored answers are scored again."""


def rescore(
    run: RunLike,
    *,
    output: str | Path | None = None,
    metrics: str | Sequence[str] | None = None,
    include_path: str | Path | Sequence[str | Path] | None = None,
    data_dir: str | Path | None = None,
    instead: Mapping[str, str] | None = None,
    allow_code_execution: bool = False,
) -> Run:
    """Score the stored answers of ``run`` again, with the task definitions, filters and metrics of today, into the
    folder ``output`` (default: a new one in runs/). No model is asked, and ``run`` stays as it is.

    ``metrics`` are those beside the tasks' own, in place of the run's; ``instead`` maps a task of the run to the task
    that scores its answers ({"gsm8k": "my_gsm8k"}). Tasks that run generated programs need ``allow_code_execution``
    again: what a run directory says of it is nobody's permission. Raises UserError where the data are not those of the
    run.
    """
    given = {"output": output, "metrics": metrics, "include_path": include_path, "data_dir": data_dir}
    settings: dict[str, Any] = {key: _text(value) for key, value in given.items() if value is not None}
    if allow_code_execution:
        settings["allow_code_execution"] = True
    return Run(
        rescored(run_path(run), settings, instead or {}, lambda text: print(f"evalkit: {text}", file=sys.stderr)).path
    )


def rescored(
    source: Path, settings: Mapping[str, Any], instead: Mapping[str, str], note: Callable[[str], None]
) -> Reported:
    """The same with settings as the command line has them."""
    directory = RunDir.open(source)
    spec = _spec(directory, settings, instead)
    done = carry_out(directory, spec, note, {new: old for old, new in instead.items()})
    return ended(done, spec, note)


def _spec(directory: RunDir, settings: Mapping[str, Any], instead: Mapping[str, str]) -> RunSpec:
    """What the run was asked, with this call's settings on top and its tasks replaced."""
    before = directory.spec()
    named = [one.name.partition("@")[0] for one in before.tasks]
    if unknown := [old for old in instead if old not in named]:
        raise UserError(f"--as {unknown[0]}: the run was not asked for it by this name, but for {', '.join(named)}")
    (told,) = config.expand(*config.merge({}, {"model": "mock", "tasks": "none", **settings}, config.Origin()))
    fields = {table.SETTINGS[key].field for key in settings}
    anew = {"output": None, "log_to": (), "predict_only": False, "allow_code_execution": False}
    changes = {**anew, **{one: getattr(told, one) for one in fields}}
    return before.model_copy(update={**changes, "tasks": tuple(_replaced(one, instead) for one in before.tasks)})


def _replaced(entry: TaskSpec, instead: Mapping[str, str]) -> TaskSpec:
    """The entry, or that of the task that scores in its place, which has a definition of its own."""
    name, at, suffix = entry.name.partition("@")
    if name not in instead:
        return entry
    own = {"data": None, "prompt": None, "target": None, "choices": None, "metrics": ()}
    return entry.model_copy(update={"name": instead[name] + at + suffix, **own})


def _text(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return [str(one) for one in value] if isinstance(value, list | tuple) else value
