"""Which items of a study's tasks are trained on, and which are held out: drawn once, by the study's seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evalkit.contract.errors import UserError
from evalkit.contract.types import Document, Task
from evalkit.data import open_source
from evalkit.runner.workload import load_documents
from evalkit.spec.models import ModelSpec, RunSpec, TaskSpec
from evalkit.study.config import Study
from evalkit.task import catalog


@dataclass(frozen=True)
class Split:
    """A task's items by their numbers in its evaluated split: those to train on, and others."""

    task: Task
    entry: TaskSpec
    documents: Sequence[Document]
    trained: tuple[int, ...]
    held_out: tuple[int, ...]

    @property
    def name(self) -> str:
        """The task's name in runs."""
        return self.task.info.name

    def training(self) -> list[Document]:
        """The documents to train on."""
        return [self.documents[place] for place in self.trained]


def splits(study: Study, names: Sequence[str], trained: int, held_out: int) -> list[Split]:
    """Of each task ``trained`` items drawn at random, and ``held_out`` of the rest; an item that is the same as one to
    train on is left out of the rest. UserError for groups, and for a split with too few items.
    """
    return list(_splits(study, names, trained, held_out))


def _splits(study: Study, names: Sequence[str], trained: int, held_out: int) -> Iterator[Split]:
    source = open_source(study.data_dir)
    for name in names:
        entry = TaskSpec(name=name, sample=study.bundled)
        spec = RunSpec(
            model=ModelSpec(name=study.model), tasks=(entry,), sample=study.bundled, gen_kwargs=study.gen_kwargs
        )
        selection = catalog.resolve(spec)
        if len(selection.tasks) != 1:
            raise UserError(f"study: {name} stands for {len(selection.tasks)} tasks: name single ones")
        task = selection.tasks[0]
        documents = load_documents(task, source, None, None).documents
        order = random.Random(f"{study.seed}:{task.info.name}").sample(range(len(documents)), len(documents))
        first = order[:trained]
        seen = {documents[place].hash for place in first}
        rest = [place for place in order[trained:] if documents[place].hash not in seen][:held_out]
        if len(first) < trained or len(rest) < min(held_out, 2):
            raise UserError(
                f"study: {name} has {len(documents)} items, too few for {trained} to train on and {held_out} others: "
                "lower train_items or eval_items"
            )
        numbers = [documents[place].id for place in range(len(documents))]
        yield Split(
            task,
            entry,
            documents,
            tuple(sorted(first)),
            tuple(sorted(numbers[place] for place in rest)),
        )
