"""What one task of a run has to do: its documents after --limit, and the requests they become."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from evalkit.contract.errors import UserError
from evalkit.contract.registry import did_you_mean
from evalkit.contract.types import DataSource, Document, Documents, PromptStyle, Request, Task, TaskInfo
from evalkit.data.generated import is_own
from evalkit.store.held import Counted, Flat, Requests
from evalkit.store.packed import HELD

SHORTEST_HASH = 8
"""Hexadecimal digits of a document's hash that name it."""


@dataclass(frozen=True)
class Workload:
    """A task with the documents to be scored and, per document, what is asked of the model."""

    task: Task
    documents: Documents
    n_total: int
    """Documents in the split, before --limit."""
    source: str
    """Where the documents came from, with a hash of the whole split."""
    requests: Sequence[tuple[Request, ...]]

    @property
    def info(self) -> TaskInfo:
        """The task's description."""
        return self.task.info

    @property
    def n_requests(self) -> int:
        """Requests over all documents."""
        return self.requests.total if isinstance(self.requests, Counted) else sum(map(len, self.requests))

    def asking(self, requests: Iterable[tuple[Request, ...]]) -> Workload:
        """The same workload with these requests, a tuple for each of its documents; very many are held packed."""
        return replace(self, requests=Requests(requests) if len(self.documents) > HELD else tuple(requests))


def load_documents(task: Task, data: DataSource, limit: float | None, shuffle_seed: int | None) -> Workload:
    """Load a task's documents and keep those that ``limit`` asks for (``shuffle_seed`` None: the first ones);
    requests come with :func:`ask`.

    Raises UserError for an empty split.
    """
    documents = task.documents(data)
    if not documents:
        where = f"{task.info.dataset.id}, " if task.info.dataset else ""
        raise UserError(
            f"task {task.info.name}: the split {task.info.split!r} is empty ({where}{data.name}): "
            "check the data folder or choose another split"
        )
    content = hashlib.sha256("".join(document.hash for document in documents).encode()).hexdigest()[:16]
    made = task.info.dataset is not None and is_own(task.info.dataset.id)
    beside = task.info.dataset is not None and task.info.dataset.id.startswith("file/")
    where = "sample" if task.info.sample else "generated" if made else "file" if beside else data.name
    source = f"{where}:sha256={content}"
    return Workload(task, subset(documents, limit, task.info.name, shuffle_seed), len(documents), source, ())


def subset(documents: Sequence[Document], limit: float | None, task: str, shuffle_seed: int | None) -> Documents:
    """The first ``limit`` documents (below 1: that share, rounded up), or as many drawn by a seed, in order.

    The draw depends on the seed and the task's name alone, so every model meets the same documents.
    """
    whole = documents if isinstance(documents, Documents) else Documents(tuple(documents))
    if limit is None:
        return whole
    count = math.ceil(limit * len(documents)) if limit < 1 else int(limit)
    if count >= len(whole):
        return whole
    if shuffle_seed is None:
        return whole[:count]
    chosen = random.Random(f"{shuffle_seed}:{task}").sample(range(len(documents)), count)
    return whole.take(sorted(chosen))


def chosen(workloads: Sequence[Workload], samples: Mapping[str, Sequence[int | str]]) -> list[Workload]:
    """Of each task that ``samples`` names the documents named there, by number or by the beginning of their hash, in
    the split's order; the others whole. UserError for tasks and documents that are not there.
    """
    known = [one.info.name for one in workloads]
    if unknown := [name for name in samples if name not in known]:
        raise UserError(f"--samples: the run has no task {unknown[0]!r}{did_you_mean(unknown[0], known)}")
    return [
        replace(one, documents=one.documents.take(_places(one, samples[one.info.name])))
        if one.info.name in samples
        else one
        for one in workloads
    ]


def _places(workload: Workload, wanted: Sequence[int | str]) -> list[int]:
    name = workload.info.name
    by_number = {document.id: place for place, document in enumerate(workload.documents)}
    places = set()
    for one in wanted:
        if isinstance(one, int):
            found = [by_number[one]] if one in by_number else []
        elif len(one) < SHORTEST_HASH:
            raise UserError(
                f"--samples: {name}: {one!r} is no hash: give a number, or {SHORTEST_HASH} digits of a hash"
            )
        else:
            found = [place for place, document in enumerate(workload.documents) if document.hash.startswith(one)]
        if not found:
            raise UserError(
                f"--samples: {name}: there is no document {one!r} among its {len(workload.documents):,} (numbers count "
                "from 0; evalkit prompts export lists them)"
            )
        places.update(found)
    return sorted(places)


def build_requests(workload: Workload, style: PromptStyle) -> Workload:
    """The same workload with its requests, written in ``style``."""
    return workload.asking(workload.task.requests(workload.documents, style))


def flat(workloads: Sequence[Workload]) -> Sequence[Request]:
    """The requests of all documents of all tasks, one after another."""
    every = [workload.requests for workload in workloads]
    if any(isinstance(asked, Counted) for asked in every):
        return Flat(every)
    return [request for asked in every for requests in asked for request in requests]
