"""lm-eval's registry of tasks, opened quickly: its 15,000 files are read once for each version, then remembered.

The remembered index (names, kinds, files and tags in a JSON file in evalkit's cache) holds nothing else, so a task is
always built from its own file. It is made anew for another version of lm-eval or another place of its tasks.
"""

from __future__ import annotations

import contextlib
import json
import logging
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evalkit.contract.errors import MissingExtra, UserError
from evalkit.store import kept
from evalkit.store.files import write_bytes
from evalkit.store.paths import cache_dir
from evalkit.text.reading import parse_json


@lru_cache(maxsize=4)
def manager(include_path: tuple[str, ...] = ()) -> Any:
    """lm-eval's TaskManager over its own tasks and those in the folders ``include_path``, which win.

    Raises MissingExtra without lm-eval, UserError for an absent folder or a broken file in one.
    """
    try:
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise MissingExtra("a task of lm-evaluation-harness (lm_eval:NAME)", "lm-eval", "lm-eval") from error
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    for folder in include_path:
        _check(Path(folder))
    opened = TaskManager(include_path=list(include_path) or None, include_defaults=False)
    _merge(opened, _own_tasks())
    return opened


def _check(folder: Path) -> None:
    """lm-eval passes over files that it cannot read; a task of the user's own should not vanish like that."""
    from lm_eval.tasks._yaml_loader import load_yaml

    if not folder.is_dir():
        raise UserError(f"--include-path {folder}: there is no such folder")
    for path in sorted(folder.glob("**/*.yaml")):
        try:
            load_yaml(path, resolve_func=False)
        except Exception as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{path}: no task that lm-eval can read: {reason}; mend or remove it") from error


def _merge(opened: Any, own: dict[str, Any]) -> None:
    """Put lm-eval's own entries below those of the include path (what TaskManager's constructor does)."""
    from lm_eval.tasks._index import Kind

    index = {**own, **opened._index}
    opened._index = index
    opened._all_tasks = sorted(index)
    opened._all_subtasks = sorted(name for name, entry in index.items() if entry.kind in (Kind.TASK, Kind.PY_TASK))
    opened._all_groups = sorted(name for name, entry in index.items() if entry.kind is Kind.GROUP)
    opened._all_tags = sorted(name for name, entry in index.items() if entry.kind is Kind.TAG)


def _own_tasks() -> dict[str, Any]:
    """lm-eval's own entries, from the remembered index or, the first time, from its files."""
    import lm_eval.tasks
    from lm_eval.tasks._index import TaskIndex

    root = Path(lm_eval.tasks.__file__).parent
    stamp = {"lm_eval": version("lm-eval"), "folder": str(root), "changed": root.stat().st_mtime_ns, "format": 1}
    file = cache_dir() / kept.FOLDER / "lm_eval_index.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        remembered = parse_json(file.read_bytes())
        if remembered["stamp"] == stamp:
            return {name: _entry(root, name, *fields) for name, fields in remembered["entries"].items()}
    built = TaskIndex.build([root])
    entries = {
        name: [entry.kind.name, _relative(entry.yaml_path, root), sorted(entry.tags)] for name, entry in built.items()
    }
    # A cache that cannot be written only costs the time to read the files again.
    with contextlib.suppress(UserError):
        write_bytes(file, json.dumps({"stamp": stamp, "entries": entries}).encode())
    return {name: _entry(root, name, *fields) for name, fields in entries.items()}


def _relative(path: Path | None, root: Path) -> str | None:
    return None if path is None else path.relative_to(root).as_posix()


def _entry(root: Path, name: str, kind: str, path: str | None, tags: list[str]) -> Any:
    from lm_eval.tasks._index import Entry, Kind

    return Entry(name=name, kind=Kind[kind], yaml_path=None if path is None else root / path, tags=set(tags))
