"""RUN/live/: what can be seen of a run while it works, for who looks on (`evalkit view`).

state.json    how far it is, who works on it, and the numbers of what is scored so far
<task>.jsonl  the first items that were answered, a row each as in the samples files

It is a copy of what the journal and the process know: nothing is ever read back into the run, it goes when results.json
is there, and a disk that takes no more of it costs the run nothing. Rows are appended and whole once their newline is
there; state.json is renamed into its place, without a sync.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import GroupResult, SampleResult, TaskResult
from evalkit.store import samples
from evalkit.store.files import plain, safe_name
from evalkit.text.reading import parse_json, read_json

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FOLDER, STATE = "live", "state.json"
SCHEMA = 1
ROWS = 2_000
"""Items of a task whose texts are written while it runs."""
BYTES = 64 << 20
"""Of all tasks together."""
STALE_S = 20.0
"""A state this old is of a run that stopped."""


@dataclass(frozen=True, slots=True)
class Part:
    """How far one task is, in items."""

    name: str
    n: int
    done: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """How far a run is. ``tasks`` and ``groups`` are the numbers of the items scored so far; they may lag behind."""

    phase: str
    """"answering" or "scoring"."""
    pid: int
    host: str
    started: float
    """In seconds since 1970, as ``updated``, which moves on every second while the process works."""
    updated: float
    model: Mapping[str, Any] = field(default_factory=dict)
    requests: int = 0
    total: int = 0
    """Requests; 0 while that is not known."""
    reused: int = 0
    tokens: int = 0
    tokens_total: int | None = None
    parts: tuple[Part, ...] = ()
    scored: int = 0
    tasks: tuple[TaskResult, ...] = ()
    groups: tuple[GroupResult, ...] = ()
    schema: int = SCHEMA

    @property
    def alive(self) -> bool:
        """Whether the process that wrote this still works."""
        import psutil

        here = self.host == platform.node()
        return time.time() - self.updated < STALE_S and (not here or psutil.pid_exists(self.pid))


def begun() -> State:
    """The state of a run that this process begins now."""
    now = time.time()
    return State("answering", pid=os.getpid(), host=platform.node(), started=now, updated=now)


class Writer:
    """Writes a run's live folder, from one thread. OSError where the disk does not take it."""

    def __init__(self, run: Path) -> None:
        """An earlier process's folder goes."""
        self._folder = run / FOLDER
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        self._rows: dict[str, int] = {}
        self._bytes = 0

    def state(self, state: State) -> None:
        """Put ``state`` in the place of the last one."""
        draft = self._folder / f".{STATE}.tmp"
        draft.write_text(json.dumps(plain(state), ensure_ascii=False, allow_nan=False), "utf-8")
        draft.replace(self._folder / STATE)

    def rows(self, task: str, scored: Iterable[SampleResult]) -> None:
        """Append items of a task, until there are enough of them."""
        lines = []
        for sample in scored:
            if self._rows.get(task, 0) >= ROWS or self._bytes >= BYTES:
                break
            line = json.dumps(samples.row(sample, list(sample.metrics)), ensure_ascii=False, allow_nan=False)
            self._rows[task] = self._rows.get(task, 0) + 1
            self._bytes += len(line)
            lines.append(line)
        if lines:
            with rows_path(self._folder.parent, task).open("a", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")

    def end(self) -> None:
        """The run's own files say it all by now."""
        shutil.rmtree(self._folder, ignore_errors=True)


def rows_path(run: Path, task: str) -> Path:
    """Where a task's rows lie; the name never leaves the folder."""
    return run / FOLDER / f"{safe_name(task)}.jsonl"


def read(run: Path) -> State | None:
    """What the folder says; None where there is none, or nothing that can be understood."""
    from pydantic import ValidationError

    try:
        found = _adapter().validate_python(read_json(run / FOLDER / STATE, "live state"))
    except (UserError, ValidationError, OSError):
        return None
    return found if found.schema == SCHEMA else None


@cache
def _adapter() -> TypeAdapter[State]:
    from pydantic import TypeAdapter

    return TypeAdapter(State)


def read_rows(run: Path, task: str, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """The whole rows behind the byte ``offset``, and the offset behind them; what is no row is left out."""
    try:
        with rows_path(run, task).open("rb") as file:
            file.seek(offset)
            content = file.read(BYTES)
    except OSError:
        return [], offset
    whole = content[: content.rfind(b"\n") + 1]
    return [row for line in whole.splitlines() if (row := _row(line)) is not None], offset + len(whole)


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        found = parse_json(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("doc_hash"), str) else None


def count_rows(run: Path, task: str) -> int:
    """Whole rows of a task; 0 where there are none."""
    return len(read_rows(run, task)[0])
