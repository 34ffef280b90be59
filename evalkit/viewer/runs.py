"""The runs in a folder: which there are, how each stands, and what it shows in a list."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from evalkit.contract.errors import UserError
from evalkit.contract.types import RunResult
from evalkit.render.view import Marks, Row, Run, View, build
from evalkit.store import RunDir, live
from evalkit.store.rundir import RESULTS, SPEC
from evalkit.text.reading import parse_json

DEPTH = 4
"""How many folders below the given one runs are looked for."""
FRESH_S = 1.0
"""So long a listing of the folder is taken for what there is."""
KEPT = 600
"""Summaries of runs that are kept."""
SPEC_BYTES = 4 << 20

Standing = Literal["finished", "partial", "running", "stopped", "broken"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A run directory as the listing finds it. ``id`` is its path below the folder ("." for the folder itself)."""

    id: str
    path: Path
    label: str
    tasks: tuple[str, ...]
    """As asked for; results may have others (the tasks of a group)."""
    stamp: tuple[int, ...]
    """Changes when the run does."""

    @property
    def changed(self) -> float:
        """When, in seconds since 1970."""
        return max(self.stamp) / 1e9

    def matches(self, words: Sequence[str]) -> bool:
        """Whether every word stands in its name, place or tasks."""
        text = " ".join((self.id, self.label, *self.tasks)).lower()
        return all(word in text for word in words)


@dataclass(frozen=True, slots=True)
class Summary:
    """What the list shows of a run. ``problem``: why it cannot be read."""

    standing: Standing
    rows: tuple[Row, ...] = ()
    documents: int = 0
    of: int = 0
    """Documents to be answered, of a run at work."""
    problem: str = ""
    note: str = ""
    """ "bundled items", "limited", ...: what a reader must know before comparing."""


class Folder:
    """A folder of runs. Safe to use from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._listed = 0.0
        self._summaries: OrderedDict[tuple[str, tuple[int, ...]], Summary] = OrderedDict()

    def entries(self) -> Mapping[str, Entry]:
        """Every run, by id, the one that changed last first."""
        with self._lock:
            if time.monotonic() - self._listed > FRESH_S:
                known = self._entries
                found = [_entry(self.path, path, known) for path in _runs(self.path, DEPTH)]
                found.sort(key=lambda entry: (-entry.changed, entry.id))
                self._entries = {entry.id: entry for entry in found}
                self._listed = time.monotonic()
            return self._entries

    def entry(self, id: str) -> Entry:
        """The run of that id. Raises UserError for what is no run of the folder: nothing else is ever opened."""
        found = self.entries().get(id)
        if found is None:
            raise UserError(f"{id[:200]}: no run of this folder: it may have been moved or removed")
        return found

    def version(self) -> str:
        """A text that changes when any run of the folder does."""
        return str(hash(tuple((entry.id, entry.stamp) for entry in self.entries().values())))

    def standing(self, id: str) -> str:
        """The same of one run, looked at anew. Raises UserError as `entry` does."""
        entry = self.entry(id)
        state = _alive(entry) if entry.stamp[2] else False
        return f"{_stamp(entry.path)} {state}"

    def summary(self, entry: Entry) -> Summary:
        """What the list shows; read once for each state of a run."""
        key = entry.id, entry.stamp
        with self._lock:
            found = self._summaries.get(key)
        if found is None:
            found = _summary(entry)
            with self._lock:
                self._summaries[key] = found
                while len(self._summaries) > KEPT:
                    self._summaries.popitem(last=False)
        elif found.standing == "running" and not _alive(entry):
            return replace(found, standing="stopped")
        return found


def _runs(folder: Path, depth: int) -> Iterator[Path]:
    """Run directories in ``folder``, itself included, down to ``depth``; links are not followed."""
    try:
        with os.scandir(folder) as listing:
            children = sorted((one for one in listing if not one.name.startswith(".")), key=lambda one: one.name)
    except OSError:
        return
    if any(one.name in (SPEC, RESULTS) for one in children):
        yield folder
        return
    for one in children:
        if depth and one.is_dir(follow_symlinks=False):
            yield from _runs(Path(one.path), depth - 1)


def _entry(folder: Path, path: Path, known: Mapping[str, Entry]) -> Entry:
    name = path.relative_to(folder).as_posix()
    stamp = _stamp(path)
    before = known.get(name)
    if before is not None and before.stamp == stamp:
        return before
    asked = _spec(path)
    model = asked.get("model")
    model = model if isinstance(model, Mapping) else {}
    tasks = asked.get("tasks")
    names = [one.get("name") for one in tasks if isinstance(one, Mapping)] if isinstance(tasks, list) else []
    label = model.get("label") or model.get("name") or (before.label if before else path.name)
    return Entry(name, path, str(label), tuple(str(one) for one in names if one), stamp)


def _stamp(path: Path) -> tuple[int, ...]:
    """When what was asked, the results and the live state changed, in nanoseconds; 0 for what is not there."""
    return tuple(_changed(path / one) for one in (SPEC, RESULTS, f"{live.FOLDER}/{live.STATE}"))


def _changed(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _spec(path: Path) -> Mapping[str, Any]:
    """spec.json as it stands; {} where it is missing or broken."""
    file = path / SPEC
    try:
        found = parse_json(file.read_bytes()) if file.stat().st_size <= SPEC_BYTES else None
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, Mapping) else {}


def _alive(entry: Entry) -> bool:
    state = live.read(entry.path)
    return state is not None and state.alive


def _summary(entry: Entry) -> Summary:
    state = live.read(entry.path)
    if state is not None:
        rows = headline(interim(entry, state)) if state.tasks else ()
        done, of = sum(part.done for part in state.parts), sum(part.n for part in state.parts)
        return Summary("running" if state.alive else "stopped", rows, done, of)
    if not (entry.path / RESULTS).is_file():
        return Summary("stopped")
    try:
        result = RunDir.open(entry.path).result()
        rows = headline(view_of(entry, result))
    except UserError as error:
        return Summary("broken", problem=str(error))
    sample = any(task.info.sample for task in result.tasks)
    limited = any(task.n < task.n_total for task in result.tasks)
    note = "bundled items" if sample else "limited" if limited else ""
    documents = sum(task.n for task in result.tasks)
    return Summary("partial" if result.partial else "finished", rows, documents, documents, note=note)


def headline(view: View) -> tuple[Row, ...]:
    """The rows that stand for a run: of each group and lone task."""
    return tuple(row for block in view.blocks for row in block.standing)


def view_of(entry: Entry, result: RunResult) -> View:
    """A run's numbers as a report lays them out."""
    return build([Run(0, result.label or entry.label, entry.path, result)], Marks())


def interim(entry: Entry, state: live.State) -> View:
    """The numbers of a run at work as a report lays them out."""
    result = RunResult(_spec(entry.path), {}, state.model, state.tasks, state.groups)
    return view_of(entry, result)
