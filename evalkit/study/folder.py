"""A study's folder: its configuration, one process at work in it, and a file for each part that is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.store import locks
from evalkit.store.files import read_json, safe_name, write_json

STUDY, PART, LOCK = "study.json", "part.json", ".lock"


class Folder:
    """The folder of a study at ``path``; see `opened`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def part(self, *names: str) -> Path:
        """The folder of a part, whose name may hold any character."""
        return self.path / "parts" / safe_name("_".join(name.replace(" ", "-") for name in names))

    def done(self, part: Path, make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """What the part's file holds; made and written where it is not there."""
        file = part / PART
        if not file.exists():
            write_json(file, dict(make()))
        found: dict[str, Any] = read_json(file, "part of a study")
        return found


@contextmanager
def opened(path: Path, kind: str, config: Mapping[str, Any]) -> Iterator[Folder]:
    """The folder of the study ``config``, new or gone on with, and nobody else's while it lasts. UserError for a folder
    with another study, and while another process is at work there.
    """
    path.mkdir(parents=True, exist_ok=True)
    lock = locks.take(
        path / LOCK, lambda who: f"{path}: another study is at work here ({who}): wait, or take another folder"
    )
    try:
        asked = {"kind": kind, **config}
        file = path / STUDY
        if file.exists():
            _same(path, read_json(file, "study"), asked)
        elif any(one.name != LOCK for one in path.iterdir()):
            raise UserError(f"{path}: holds other files and no study: give --output another folder")
        else:
            write_json(file, asked)
        yield Folder(path)
    finally:
        lock.release()


def _same(path: Path, held: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    if changed := sorted(key for key in {*held, *asked} if held.get(key) != asked.get(key)):
        raise UserError(
            f"{path}: holds a study with another {', '.join(changed)}: give --output another folder, or delete this one"
        )
