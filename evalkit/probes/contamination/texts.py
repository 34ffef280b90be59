"""The items of tasks as plain texts, and a folder of texts as documents."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.contract.capabilities import KnowsTarget
from evalkit.contract.errors import UserError
from evalkit.contract.types import DataSource, PromptStyle, Score, Task
from evalkit.data import rows
from evalkit.runner.evaluate import load_workloads
from evalkit.runner.workload import Workload, build_requests, load_documents
from evalkit.spec.models import RunSpec
from evalkit.store.samples import prompt_of
from evalkit.task.catalog import Catalog, Selection
from evalkit.task.native import NativeTask

PLAIN = (".txt", ".md", ".rst", ".html", ".tex", ".py", ".xml")
TABLES = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".jsonl.gz", ".json.gz", ".csv.gz", ".tsv.gz")
"""Files whose rows are documents; every text in a row is part of it."""
WORDS = re.compile(r"[^\W_]+")
COVERED = 0.5
"""Of a prompt, without what all prompts of the task share, that an item's own texts have to make up to stand for it."""
MOST_BYTES = 512 * 2**20
"""Of one plain file; rows are read within the limits of `evalkit.data.rows`."""


@dataclass(frozen=True, slots=True)
class Text:
    """An item: its hash, its question (those of its own texts that the prompt shows), and question and answers."""

    key: str
    question: str
    whole: str


@dataclass(frozen=True, slots=True)
class TaskTexts:
    """A task's evaluated items, and those that few-shot examples are drawn from (``pool_split`` None: from none)."""

    name: str
    split: str
    items: tuple[Text, ...]
    pool: tuple[Text, ...] = ()
    pool_split: str | None = None


def texts_of(selection: Selection, data: DataSource, spec: RunSpec) -> Iterator[TaskTexts]:
    """Every task of ``selection``, which must have been resolved for no few-shot examples. UserError as for a run."""
    catalog = Catalog.of(spec.include_path)
    for task in selection.tasks:
        (workload,) = load_workloads(replace(selection, tasks=(task,)), data, spec, None)
        found = TaskTexts(task.info.name, task.info.split, tuple(_texts(workload)))
        pool = _pool_of(task, catalog)
        if pool is not None:
            items = build_requests(load_documents(pool, data, None, None), PromptStyle())
            found = replace(found, pool=tuple(_texts(items)), pool_split=pool.info.split)
        yield found


def _pool_of(task: Task, catalog: Catalog) -> Task | None:
    """The same task over the split that its examples come from; None without one, or where it is the evaluated one."""
    if not isinstance(task, NativeTask) or task.info.name not in catalog.tasks:
        return None
    definition, defined = catalog.tasks[task.info.name]
    splits = definition.dataset.splits
    if splits.fewshot in (None, splits.eval):
        return None
    changed = splits.model_copy(update={"eval": splits.fewshot})
    over = definition.model_copy(update={"dataset": definition.dataset.model_copy(update={"splits": changed})})
    made: Task = (defined.build or NativeTask)(over, defined.source, task.options)
    return made


def _texts(workload: Workload) -> Iterator[Text]:
    task = workload.task
    contexts = [prompt_of(asked[0]) if asked else "" for asked in workload.requests]
    before, behind = _frame(contexts)
    for document, asked, context in zip(workload.documents, workload.requests, contexts, strict=True):
        own = context[before : len(context) - behind].strip()
        others = [one.continuation for one in asked if isinstance(one, Score)]
        target = task.target(document) if isinstance(task, KnowsTarget) else None
        others += [target] if isinstance(target, str) else []
        found = list(dict.fromkeys(leaf for leaf in _leaves(document.data) if leaf))
        shown = sorted((leaf for leaf in found if leaf in own), key=own.index)
        # A text within another shown one ("is" in a passage) says nothing of its own.
        shown = [one for one in shown if not any(one != other and one in other for other in shown)]
        if sum(map(len, shown)) < COVERED * len(own):
            shown = [own]  # a template that changes the texts on their way
        answers = [leaf for leaf in found if leaf not in own and any(leaf in other for other in others)]
        question = "\n".join(shown)
        yield Text(document.hash, question, "\n".join([question, *answers]))


def _frame(contexts: Sequence[str]) -> tuple[int, int]:
    """How many characters all prompts have in common at their beginning, and at their end, to whole words."""
    if len(set(contexts)) < 2:
        return 0, 0
    before = _common(contexts)
    behind = _common([one[::-1] for one in contexts])[: min(map(len, contexts)) - len(before)]
    first, last = (max(map(one.rfind, " \n")) + 1 for one in (before, behind))
    return first, last


def _common(texts: Sequence[str]) -> str:
    """The beginning of all texts: that of the first and the last in their order."""
    first, last = min(texts), max(texts)
    length = next((place for place, one in enumerate(first) if place >= len(last) or one != last[place]), len(first))
    return first[:length]


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value.strip()
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _leaves(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _leaves(one)


def words_of(text: str) -> list[str]:
    """Lower-case words without punctuation, which is what n-grams are made of."""
    return WORDS.findall(text.lower())


@dataclass(frozen=True, slots=True)
class Document:
    """A text of a folder and where it is: "file" or "file:row"."""

    place: str
    text: str


def corpus_files(folder: Path) -> list[Path]:
    """The files of a text folder that are read, in their order. UserError where there is none; a file may be given."""
    if not folder.exists():
        raise UserError(f"--corpus {folder}: there is no such folder or file")
    every = [folder] if folder.is_file() else sorted(one for one in folder.rglob("*") if one.is_file())
    found = [one for one in every if one.name.lower().endswith((*PLAIN, *TABLES))]
    if not found:
        raise UserError(f"--corpus {folder}: holds no text: {', '.join((*PLAIN, *TABLES))} are read")
    return found


def corpus(files: Sequence[Path]) -> Iterator[Document]:
    """Each plain file as one document, each row of a table as one. UserError for a file that cannot be read."""
    for file in files:
        if file.name.lower().endswith(TABLES):
            for number, row in enumerate(rows.read(file), 1):
                yield Document(f"{file}:{number}", "\n".join(_leaves(row)))
            continue
        try:
            if file.stat().st_size > MOST_BYTES:
                raise UserError(f"{file}: is larger than {MOST_BYTES >> 20} MiB: split it into several files")
            yield Document(str(file), file.read_text("utf-8", errors="replace"))
        except OSError as error:
            raise UserError(f"{file}: cannot be read ({error.strerror}): leave it out of the folder") from None
