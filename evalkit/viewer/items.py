"""Items of runs, a page at a time: outcomes of all of them in one letter each, texts of a chunk when it is asked for.

What is sent has the form of the report's pieces (`evalkit.render.samples`), so that one browser shows both.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import TaskInfo
from evalkit.render.samples import ABSENT, CHUNK, letter, record_of, share_prefix
from evalkit.store import RunDir, live
from evalkit.store.rows import join_keys, metrics_of, title_of
from evalkit.viewer.runs import Entry

KEPT = 12
"""Shelves that are kept: of a task of 100,000 items one takes some twenty megabytes."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """The items of one task in one run, in the order of its file."""

    keys: Sequence[str]
    """Document hashes, made unique."""
    letters: str
    rows: Callable[[Sequence[int]], Sequence[Mapping[str, Any]]]
    holding: Callable[[str], Sequence[int]]


class Table:
    """The items of one task over one run or several, joined by document."""

    def __init__(self, shelves: Sequence[Shelf]) -> None:
        self._shelves = shelves
        self._places = [{key: place for place, key in enumerate(shelf.keys)} for shelf in shelves]
        self._keys = list(dict.fromkeys(key for shelf in shelves for key in shelf.keys))

    def __len__(self) -> int:
        return len(self._keys)

    def codes(self) -> list[str]:
        """A letter a run for every document."""
        columns = [
            [shelf.letters[places[key]] if key in places else ABSENT for key in self._keys]
            for shelf, places in zip(self._shelves, self._places, strict=True)
        ]
        return ["".join(letters) for letters in zip(*columns, strict=True)]

    def chunk(self, number: int) -> dict[str, Any]:
        """Prompts and answers of ``CHUNK`` documents, with a title each. Raises UserError behind the last one."""
        keys = self._keys[number * CHUNK : (number + 1) * CHUNK]
        if not keys:
            raise UserError("no such documents: the run may have changed; load the page again")
        sides: list[list[Mapping[str, Any] | None]] = []
        for shelf, places in zip(self._shelves, self._places, strict=True):
            there = [key for key in keys if key in places]
            rows = dict(zip(there, shelf.rows([places[key] for key in there]), strict=True))
            sides.append([rows.get(key) for key in keys])
        records = []
        for of_runs in zip(*sides, strict=True):
            first = next(row for row in of_runs if row is not None)
            records.append(record_of(of_runs) | {"n": title_of(first.get("document"), first.get("prompt"))})
        return share_prefix(records)

    def find(self, text: str) -> list[int]:
        """The documents that hold a text in any run."""
        numbers = {key: number for number, key in enumerate(self._keys)}
        found = {numbers[shelf.keys[place]] for shelf in self._shelves for place in shelf.holding(text)}
        return sorted(found)


class Items:
    """Shelves by run and task, the last ones kept. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Any, ...], Shelf] = OrderedDict()

    def table(self, entries: Sequence[Entry], task: str, metric: str) -> Table:
        """The items of a task. Raises UserError where no run has any."""
        shelves = [self._shelf(entry, task, metric) for entry in entries]
        if not any(shelf.keys for shelf in shelves):
            raise UserError(f"{task[:200]}: no samples of this task")
        return Table(shelves)

    def _shelf(self, entry: Entry, task: str, metric: str) -> Shelf:
        key = entry.id, entry.stamp, task, metric
        with self._lock:
            found = self._kept.get(key)
        if found is None:
            found = _finished(entry, task, metric) or _live(entry, task, metric)
            with self._lock:
                self._kept[key] = found
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return found


def tasks_with_items(entry: Entry) -> list[TaskInfo]:
    """The tasks of which a run has items to show, by name; of a run at work those of which some are answered."""
    state = live.read(entry.path)
    if state is not None:
        return [task.info for task in state.tasks if live.rows_path(entry.path, task.info.name).is_file()]
    try:
        run = RunDir.open(entry.path)
        infos = {task.info.name: task.info for task in run.result().tasks}
        return [info for name, info in infos.items() if run.samples_path(name).is_file()]
    except UserError:
        return []


def _finished(entry: Entry, task: str, metric: str) -> Shelf | None:
    run = RunDir(entry.path)
    if not run.samples_path(task).is_file():
        return None
    frame = run.samples(task, ["doc_hash", "status", "metrics"])
    keys = join_keys([str(one) for one in frame["doc_hash"]])
    letters = "".join(
        letter(str(status), (values or {}).get(metric))
        for status, values in zip(frame["status"], frame["metrics"], strict=True)
    )
    return Shelf(
        keys, letters, lambda places: run.sample_rows(task, places), lambda text: run.samples_holding(task, text)
    )


def _live(entry: Entry, task: str, metric: str) -> Shelf:
    rows, _ = live.read_rows(entry.path, task)
    keys = join_keys([str(row["doc_hash"]) for row in rows])
    letters = "".join(letter(str(row.get("status")), metrics_of(row).get(metric)) for row in rows)

    def holding(text: str) -> list[int]:
        wanted = text.lower()
        return [place for place, row in enumerate(rows) if wanted in _haystack(row)]

    return Shelf(keys, letters, lambda places: [rows[place] for place in places], holding)


def _haystack(row: Mapping[str, Any]) -> str:
    parts = [row.get("prompt"), row.get("target"), *(row.get("choices") or ())]
    parts += [one.get("text") for one in row.get("responses") or () if isinstance(one, Mapping)]
    return "\n".join(part for part in parts if isinstance(part, str)).lower()
