"""lm-eval's tasks on a mirror folder: while they are built, ``datasets.load_dataset`` reads from it.

Splits that the mirror lacks are absent from what it gives. A task that does not need them is told to do without;
one that evaluates on them is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import DatasetRef
from evalkit.data.mirror import MirrorSource

FILE_LOADERS = frozenset({"json", "csv", "text", "parquet", "arrow", "pandas", "xml", "generator"})
"""What load_dataset takes instead of a data set's id to read given files."""

MISSING_FEWSHOT = "_evalkit_missing_fewshot_split"
"""Set on a lm-eval task whose few-shot examples come from a split that the mirror lacks."""


@contextmanager
def served(folder: Path | None) -> Iterator[None]:
    """Within, data sets come from the mirror ``folder``; with None, from wherever datasets gets them.

    Raises UserError (from within) for a data set or an evaluation split that the mirror lacks.
    """
    if folder is None:
        yield
        return
    import datasets
    from lm_eval.api.task import ConfigurableTask

    source = MirrorSource(folder)
    load_dataset, download = datasets.load_dataset, ConfigurableTask.download
    active = True

    def from_mirror(path: str, name: str | None = None, *args: Any, split: Any = None, **kwargs: Any) -> Any:
        # A task's module may keep this function for later (from datasets import load_dataset).
        if not active or path in FILE_LOADERS or kwargs.get("data_files") is not None or Path(path).is_dir():
            return load_dataset(path, name, *args, split=split, **kwargs)
        return _from_mirror(source, DatasetRef(path, name), split)

    def download_and_adapt(task: Any, *args: Any, **kwargs: Any) -> None:
        download(task, *args, **kwargs)
        _adapt(task, folder)

    datasets.load_dataset = from_mirror
    ConfigurableTask.download = download_and_adapt  # type: ignore[method-assign]
    try:
        yield
    finally:
        active = False
        datasets.load_dataset = load_dataset
        ConfigurableTask.download = download  # type: ignore[method-assign]


def _from_mirror(source: MirrorSource, dataset: DatasetRef, split: Any) -> Any:
    import datasets

    def rows(name: str) -> datasets.Dataset:
        return datasets.Dataset.from_list([dict(row) for row in source.load(dataset, name)])

    try:
        if split is not None:
            return rows(str(split))
        return datasets.DatasetDict({name: rows(name) for name in source.splits(dataset)})
    except (ValueError, TypeError, OverflowError) as error:
        # pyarrow's errors are ValueErrors; they come from columns of mixed types.
        raise UserError(
            f"data folder {source.folder}: data set {dataset.id} has columns of mixed types ({error}); pull it again"
        ) from error


def _adapt(task: Any, folder: Path) -> None:
    """Make a task do without splits that the mirror lacks, as long as it does not evaluate on them."""
    present = task.dataset
    if not isinstance(present, Mapping):
        return
    config, fewshot = task.config, task.fewshot_cfg
    evaluated = config.test_split or config.validation_split
    if evaluated is not None and evaluated not in present:
        raise UserError(
            f"data folder {folder}: task {config.task} evaluates on the split {evaluated!r} of {task.DATASET_PATH}, "
            f"which has only {', '.join(present)}; add it with `evalkit data pull`"
        )
    pool = _fewshot_split(task)
    if pool is not None and pool not in present:
        setattr(task, MISSING_FEWSHOT, pool)
    if fewshot.split is not None and fewshot.split not in present:
        fewshot.split = None
    for name in ("training_split", "validation_split"):
        if getattr(config, name) is not None and getattr(config, name) not in present:
            setattr(config, name, None)


def _fewshot_split(task: Any) -> str | None:
    """The split that lm-eval draws examples from (ConfigurableTask.fewshot_docs); None for examples of its own."""
    config, fewshot = task.config, task.fewshot_cfg
    if fewshot.split is not None:
        return fewshot.split
    if fewshot.samples is not None:
        return None
    return config.training_split or config.validation_split or config.test_split
