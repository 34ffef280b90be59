"""`evalkit tasks list|show`: every task and group as a row, and one definition in full."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from evalkit.contract import registry
from evalkit.contract.errors import UserError
from evalkit.contract.types import PromptStyle, Shots
from evalkit.data.generated import is_own
from evalkit.spec.models import ModelSpec, RunSpec, TaskSpec
from evalkit.task import declared, objects, shots
from evalkit.task.catalog import Catalog, broken_files
from evalkit.task.shots import parse_suffixes


@dataclass(frozen=True, slots=True)
class Row:
    """One line of `evalkit tasks list`; ``kind`` is a task's kind, or "group"."""

    name: str
    kind: str
    version: str
    dataset: str
    metrics: tuple[str, ...]
    groups: tuple[str, ...]
    n_sample: int
    description: str


@dataclass(frozen=True, slots=True)
class Description:
    """All of `evalkit tasks show`: the resolved definition, where it is written, and one rendered prompt.

    ``target`` is that prompt's right answer as text; for a group, ``children`` are its members and the rest is empty.
    ``shots`` are the few-shot examples of the task, or of each of the group's tasks, and what decides their number.
    """

    row: Row
    file: Path
    config: Mapping[str, Any]
    prompt: str
    choices: tuple[str, ...]
    target: str
    citation: str
    children: tuple[str, ...] = ()
    shots: Mapping[str, Shots] = field(default_factory=dict)


def listing(include_path: Iterable[Path] = ()) -> list[Row]:
    """All tasks and groups by name, groups before their members' names where these sort together."""
    catalog = Catalog.of(include_path)
    rows = [row_of(catalog, name) for name in (*catalog.tasks, *catalog.groups)]
    rows += [_row_of_object(name) for name in registry.names(registry.TASK_OBJECTS)]
    return sorted(rows, key=lambda row: row.name)


def parts(rows: Sequence[Row]) -> set[str]:
    """The rows that are parts of one benchmark and bear its name: "mmlu_anatomy" below "mmlu", "needle:multi"."""
    groups = {row.name for row in rows if row.kind == "group"}
    return {
        row.name
        for row in rows
        if row.groups and any(row.name.startswith((f"{group}_", f"{group}:")) for group in groups - {row.name})
    }


def matching(rows: Iterable[Row], word: str) -> list[Row]:
    """The rows whose name is ``word`` or fits it as a pattern; else those that have it in name, data set or text."""
    found = [row for row in rows if fnmatchcase(row.name, word)]
    low = word.casefold()
    return found or [row for row in rows if low in f"{row.name} {row.dataset} {row.description}".casefold()]


def left_out(include_path: Iterable[Path] = ()) -> list[str]:
    """What is wrong with the files that `listing` leaves out, a line each."""
    return broken_files(Catalog.of(include_path))


def describe(name: str, include_path: Iterable[Path] = (), num_fewshot: int | None = None) -> Description:
    """A task's resolved definition and the first prompt of its bundled items; of a group, its members. The name may
    end in "@5shot", as in a run.
    """
    from evalkit.task.native import Options

    catalog = Catalog.of(include_path)
    entry = TaskSpec(name=name)
    number = shots.asked(entry, RunSpec(model=ModelSpec(name=""), tasks=(entry,), num_fewshot=num_fewshot))
    name = parse_suffixes(entry).name
    catalog.require(name)
    fixed = shots.fixed(catalog.groups, catalog.shots, name)
    decided = {
        leaf: shots.decide(catalog.tasks[leaf][0], number, fixed.get(leaf), bundled=False)
        for leaf in catalog.leaves(name)
    }
    if name in catalog.groups:
        group = catalog.groups[name]
        return Description(row_of(catalog, name), catalog.files[name], {}, "", (), "", "", group.children, decided)
    definition, defined = catalog.tasks[name]
    task = catalog.task(name, Options(shots=decided[name], sample=True))
    prompt, target = "", ""
    choices: tuple[str, ...] = ()
    written = defined.source.file.name == declared.FILE and is_own(definition.dataset.id)
    if catalog.n_sample(definition) or written:
        documents = task.documents(_NoData())[:1]
        requests = next(iter(task.requests(documents, PromptStyle())))
        prompt = str(getattr(requests[0], "context", getattr(requests[0], "text", "")))
        choices = tuple(getattr(one, "continuation", "") for one in requests if hasattr(one, "continuation"))
        target = task.answer(documents[0])
    return Description(
        row_of(catalog, name),
        defined.source.file,
        task.info.config,
        prompt,
        choices,
        target,
        definition.citation,
        shots={name: task.info.shots or decided[name]},
    )


def row_of(catalog: Catalog, name: str) -> Row:
    """What `evalkit tasks list` shows of a task or group."""
    parents = tuple(group.name for group in catalog.groups.values() if name in group.children)
    if name in catalog.groups:
        group = catalog.groups[name]
        members = catalog.leaves(name)
        datasets = dict.fromkeys(catalog.tasks[one][0].dataset.id for one in members)
        samples = sum(catalog.n_sample(catalog.tasks[one][0]) for one in members)
        note = catalog.notes.get(name) or f"{len(members)} tasks of {parents[0] if parents else name}"
        return Row(name, "group", group.version, ", ".join(datasets), group.aggregate, parents, samples, note)
    one, _ = catalog.tasks[name]
    dataset = one.dataset.id + (f" {one.dataset.config}" if one.dataset.config else "")
    metrics = tuple(entry.key for entry in one.metrics)
    note = one.description if one.config is None else f"{one.config.replace('_', ' ')}: {one.description}"
    return Row(name, one.kind, one.version, dataset, metrics, parents, catalog.n_sample(one), note)


def _row_of_object(name: str) -> Row:
    info = objects.build(name).info
    dataset = info.dataset.id if info.dataset else ""
    return Row(name, info.kind, info.version, dataset, tuple(info.higher_is_better), (), 0, info.description)


class _NoData:
    """The data source of what needs none."""

    name = "sample"

    def load(self, dataset: Any, split: str) -> Sequence[Mapping[str, Any]]:
        raise UserError(f"{dataset.id}: only bundled items are shown here")
