"""A task in one line: rows of one's own file, a prompt and a target as templates over their columns."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from evalkit.contract.errors import UserError
from evalkit.spec.models import TaskSpec
from evalkit.store.files import write_bytes
from evalkit.task.definition import Defined, define
from evalkit.task.source import Source, of_file

FILTER = "remove_whitespace"
"""A reply begins with white space, which metrics of texts do not expect."""


def values(entry: TaskSpec, path: Path) -> dict[str, Any]:
    """What a task.yaml would say of the entry, with ``path`` as its rows; only what is not a default."""
    choice = entry.choices is not None
    names = list(entry.metrics) or ["acc" if choice else "exact_match"]
    metrics = [{"metric": name, **({} if choice else {"filter": FILTER})} for name in names]
    found: dict[str, Any] = {
        "name": entry.name,
        "version": "1.0",
        "dataset": {"path": str(path)},
        "kind": "multiple_choice" if choice else "generate",
        "prompt": entry.prompt or "",
    }
    if choice:
        found["choices"] = _choices(entry.choices)
    found["target"] = entry.target
    if not choice:
        found |= {"generation": {"until": ["\n"]}, "filters": {FILTER: [FILTER, "take_first"]}}
    return {**found, "metrics": metrics, **({"baseline": {"random": "1/choices"}} if choice else {})}


def _choices(given: str | Sequence[str] | None) -> Any:
    """A template of a list stays one; "yes,no" and lists are the choices themselves."""
    if isinstance(given, str) and "{" not in given:
        return [part.strip() for part in given.split(",") if part.strip()]
    return list(given) if given is not None and not isinstance(given, str) else given


def defined(entry: TaskSpec) -> Defined:
    """The task of an entry with ``data``. UserError names the setting that is wrong."""
    path = (entry.data or Path()).expanduser().absolute()
    where = f"task {entry.name} ({path.name})"
    if not path.is_file():
        raise UserError(f"{where}: there is no file {entry.data}; give --data a .jsonl, .csv, .tsv, .json or .parquet")
    for key in ("prompt", "target"):
        if getattr(entry, key) is None:
            example = "Q: {{question}}\\nA:" if key == "prompt" else "{{answer}}"
            raise UserError(f"{where}: give --{key}, a template over the columns of the file, such as '{example}'")
    data = values(entry, path)
    data["dataset"] = of_file({}, str(path))
    source = Source(path, data)
    try:
        return define(source)
    except UserError as error:
        raise UserError(f"{where}: {str(error).removeprefix(f'{path}:1: ')}") from error


def write(entry: TaskSpec, folder: Path) -> Path:
    """A folder with the entry's task.yaml and a copy of its rows beside it; returns the file. UserError for a folder
    that is not empty, and for an entry that makes no task.
    """
    defined(entry)  # what is wrong is told before anything is written
    rows = (entry.data or Path()).expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: is there already and not empty; give the new task another name")
    text = yaml.safe_dump(values(entry, Path(rows.name)), sort_keys=False, allow_unicode=True, width=100)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(rows, folder / rows.name)
        write_bytes(folder / "task.yaml", text.encode())
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror}") from error
    return folder / "task.yaml"
