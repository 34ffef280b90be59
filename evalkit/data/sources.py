"""The other sources of documents: the Hub, bundled items, a generator; and the choice among them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import DatasetRef, DataSource
from evalkit.data import rows, testsets
from evalkit.data.mirror import MirrorSource
from evalkit.spec.option import DATA_DIR
from evalkit.store.identity import digest

_WAYS_OUT = (
    "use a mirror (`--data-dir DIR` or EVALKIT_DATA_DIR; make one with `evalkit data pull TASKS --to DIR` on a "
    "connected machine), or the bundled items (`--bundled`)"
)


def open_source(data_dir: Path | None) -> DataSource:
    """The mirror in ``data_dir`` or else in EVALKIT_DATA_DIR; the Hub where neither is given."""
    folder = mirror_folder(data_dir)
    return MirrorSource(folder) if folder is not None else HubSource()


def mirror_folder(data_dir: Path | None) -> Path | None:
    """The mirror that a run uses: ``data_dir``, else EVALKIT_DATA_DIR, else None."""
    if data_dir is not None:
        return data_dir.expanduser()
    configured = os.environ.get(DATA_DIR)
    return Path(configured).expanduser() if configured else None


class HubSource:
    """Documents from the Hub, through the package datasets and its cache; code from the Hub is never run."""

    name = "hub"

    def load(self, dataset: DatasetRef, split: str) -> Sequence[Mapping[str, Any]]:
        """Rows of one split at the pinned revision. Raises UserError that says why not, and both ways out."""
        if testsets.is_test_set(dataset):
            return testsets.fetch(dataset, split)
        import datasets

        try:
            found = datasets.load_dataset(dataset.id, dataset.config, split=split, revision=dataset.revision)
        except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
            # OSError covers requests', httpx's and huggingface_hub's network errors; offline mode raises it as well.
            raise UserError(_hub_trouble(dataset, split, error)) from error
        except Exception as error:
            if not _from_network(error):
                raise
            raise UserError(_hub_trouble(dataset, split, error)) from error
        result: list[Mapping[str, Any]] = found.to_list()
        if not result:
            raise UserError(f"data set {dataset.id}: the split {split!r} is empty on the Hub; choose another split")
        return result

    def provenance(self, dataset: DatasetRef, split: str) -> str:
        """ "hub:revision=" and the pinned revision."""
        return f"hub:revision={dataset.revision or 'newest'}"


def _from_network(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in ("httpx", "httpcore", "requests", "urllib3", "aiohttp", "fsspec")


def _hub_trouble(dataset: DatasetRef, split: str, error: Exception) -> str:
    name = f"{dataset.id}, config {dataset.config}" if dataset.config else dataset.id
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    return f"data set {name}, split {split}: not to be had from the Hub ({reason}): {_WAYS_OUT}"


class SampleSource:
    """A task's bundled items: one JSONL file, ``_split`` says which split a row belongs to.

    Keys that begin with "_" are notes of ours and not part of the row.
    """

    name = "sample"

    def __init__(self, path: Path) -> None:
        """Raises UserError where the file is absent."""
        if not path.is_file():
            raise UserError(f"{path}: there are no such items; run the task on its full data set, without --bundled")
        self.path = path
        self._rows: list[rows.Row] | None = None

    def load(self, dataset: DatasetRef, split: str) -> Sequence[Mapping[str, Any]]:
        """Rows of one split; of one subject, where the sample holds several and ``dataset.config`` names one."""
        every = self._all()
        chosen = [row for row in every if row.get("_split", split) == split]
        if not chosen:
            splits = sorted({str(row["_split"]) for row in every if "_split" in row})
            raise UserError(f"{self.path}: the sample has no split {split!r}, only {', '.join(splits) or 'no rows'}")
        subjects = self.subjects
        if dataset.config and len(subjects) > 1:
            chosen = [row for row in chosen if row.get("subject") == dataset.config]
            if not chosen:
                raise UserError(
                    f"{self.path}: the sample has nothing on {dataset.config!r} in the split {split!r}, "
                    f"only on {', '.join(subjects)}; leave --bundled out, or choose one of those"
                )
        return [{key: value for key, value in row.items() if not key.startswith("_")} for row in chosen]

    @property
    def subjects(self) -> tuple[str, ...]:
        """The subjects that the sample's rows name, sorted; empty where rows have no "subject"."""
        return tuple(sorted({str(row["subject"]) for row in self._all() if "subject" in row}))

    def provenance(self, dataset: DatasetRef, split: str) -> str:
        """ "sample:sha256=" and the first twelve hex digits of the file's SHA-256."""
        import hashlib

        return f"sample:sha256={hashlib.sha256(self.path.read_bytes()).hexdigest()[:12]}"

    def _all(self) -> list[rows.Row]:
        if self._rows is None:
            self._rows = rows.read(self.path)
        return self._rows


class GeneratedSource:
    """Documents that a function makes: ``generate(dataset, split)`` gives rows, the same ones at every call."""

    name = "generated"

    def __init__(self, generate: Callable[[DatasetRef, str], Sequence[Mapping[str, Any]]]) -> None:
        self._generate = generate

    def load(self, dataset: DatasetRef, split: str) -> Sequence[Mapping[str, Any]]:
        """What the function gives. Raises UserError where it gives nothing."""
        found = self._generate(dataset, split)
        if not found:
            raise UserError(f"data set {dataset.id}: the generator gave nothing for the split {split!r}")
        return found

    def provenance(self, dataset: DatasetRef, split: str) -> str:
        """ "generated:sha256=" and the first twelve hex digits of the rows' SHA-256, as canonical JSON."""

        return f"generated:sha256={digest(list(self.load(dataset, split)))[:12]}"
