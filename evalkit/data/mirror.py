"""A mirror of data sets in a folder: ``<id>/<config or default>/<split>.jsonl`` (or .jsonl.gz, .csv, .parquet); a set
without configs may have its splits in its own folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.registry import did_you_mean
from evalkit.contract.types import DatasetRef
from evalkit.data import rows, testsets

ALIASES: Mapping[str, tuple[str, ...]] = {
    "baber/piqa": ("ybisk/piqa",),
    "piqa": ("ybisk/piqa",),
    "hellaswag": ("Rowan/hellaswag",),
    "super_glue": ("aps/super_glue",),
    "openbookqa": ("allenai/openbookqa",),
    "ai2_arc": ("allenai/ai2_arc",),
    "trivia_qa": ("mandarjoshi/trivia_qa",),
    "truthful_qa": ("truthfulqa/truthful_qa",),
    "nq_open": ("google-research-datasets/nq_open",),
    "hails/mmlu_no_train": ("cais/mmlu",),
    "lighteval/squad_v2": ("rajpurkar/squad_v2",),
}
"""Other ids of the same rows: copies, and old names of sets that moved. Used where the id itself is not there."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file that holds rows of another set, as a mirror may have them: ``fields`` are what the set calls them, by
    what the file calls them, only rows that say ``where`` count, and ``made`` turns those into the set's own.
    """

    dataset: str
    config: str | None
    split: str
    where: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    made: Callable[[Sequence[Mapping[str, Any]]], list[Mapping[str, Any]]] | None = None


def _articles(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """RACE's questions, one a row, as EleutherAI's copy has them: one row an article, its questions a Python list."""
    problems: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        asked = {key: row[key] for key in ("question", "answer", "options")}
        problems.setdefault(str(row["article"]), []).append(asked)
    return [{"article": article, "problems": repr(asked)} for article, asked in problems.items()]


def _aggrefact(origin: str, document: str, summary: str) -> tuple[Part, ...]:
    return tuple(
        Part("Liyan06/AggreFact", config, "test", {"origin": origin}, {"doc": document, "summ": summary})
        for config in ("cliff_error_types", "goyal21_error_types")
    )


PARTS: Mapping[tuple[str, str | None, str], tuple[Part, ...]] = {
    ("pminervini/inverse-scaling", "memo-trap", "data"): tuple(
        Part("liujch1998/memo-trap", None, split)
        for split in ("1-proverb-ending", "2-proverb-translation", "4-history-of-science-qa")
    ),
    ("pminervini/true-false", None, "cieacf"): tuple(
        Part("azaria-mitchell/true-false", config, "train")
        for config in ("cities", "inventions", "elements", "animals", "companies", "facts")
    ),
    ("EdinburghNLP/xsum", "default", "test"): _aggrefact("xsum", "document", "model_summary"),
    ("EleutherAI/race", "high", "test"): (Part("ehovy/race", "high", "test", made=_articles),),
    ("jannalu/crows_pairs_multilingual", "english", "test"): (Part("nyu-mll/crows_pairs", "crows_pairs", "test"),),
    ("abisee/cnn_dailymail", "3.0.0", "test"): _aggrefact("cnndm", "article", "model_summary"),
}
"""Where else the rows of a split may lie, in the layout of their first publishers or inside another set. Used where the
id itself is not there.
"""


class MirrorSource:
    """Documents from a folder, nothing from the network."""

    name = "mirror"

    def __init__(self, folder: Path) -> None:
        """Raises UserError where the folder is absent."""
        if not folder.is_dir():
            raise UserError(
                f"data folder {folder}: there is no such folder; name a mirror made by `evalkit data pull TASKS "
                "--to DIR` in --data-dir or EVALKIT_DATA_DIR, or leave both out to use the Hub"
            )
        self.folder = folder

    def load(self, dataset: DatasetRef, split: str) -> Sequence[Mapping[str, Any]]:
        """Rows of one split. Raises UserError for an absent data set, config or split, and for broken or no rows."""
        if testsets.is_test_set(dataset) and not (self.folder / dataset.id).is_dir():
            return testsets.from_folder(self.folder, dataset, split)
        parts = self._parts(dataset, split)
        found = self._joined(parts) if parts else rows.read(self._file(dataset, split))
        if not found:
            path = self._file(dataset, split)
            raise UserError(f"{path}: the split {split!r} is empty; fetch it again with `evalkit data pull`")
        return found

    def provenance(self, dataset: DatasetRef, split: str) -> str:
        """ "mirror:sha256=" and the first twelve hex digits of the file's SHA-256; of several files, of theirs."""
        parts = self._parts(dataset, split)
        if parts:
            digests = "".join(self.provenance(DatasetRef(one.dataset, one.config, None), one.split) for one in parts)
            return f"mirror:parts={len(parts)}:sha256={hashlib.sha256(digests.encode()).hexdigest()[:12]}"
        with self._file(dataset, split).open("rb") as file:
            return f"mirror:sha256={hashlib.file_digest(file, 'sha256').hexdigest()[:12]}"

    def files_folder(self, dataset: DatasetRef, split: str) -> Path:
        """The folder of a split's file: what its rows name (pictures) lies there."""
        return self._file(dataset, split).parent

    def _parts(self, dataset: DatasetRef, split: str) -> tuple[Part, ...]:
        """The other files that hold a split; () where the set itself is there, or one of them is not."""
        known = PARTS.get((dataset.id, dataset.config, split), ())
        if not known or self._has(dataset.id) or not all(self._has(part.dataset) for part in known):
            return ()
        return known

    def _joined(self, parts: Sequence[Part]) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        for part in parts:
            every = self.load(DatasetRef(part.dataset, part.config, None), part.split)
            kept = [row for row in every if all(str(row.get(key)) == value for key, value in part.where.items())]
            named = [{part.fields.get(key, key): value for key, value in row.items()} for row in kept]
            found += part.made(named) if part.made else named
        return found

    def _has(self, id: str) -> bool:
        return self.folder.joinpath(*(_inside(part, "data set") for part in id.split("/"))).is_dir()

    def splits(self, dataset: DatasetRef) -> dict[str, Path]:
        """The files of a data set's config, by split. Raises UserError where the set or config is absent."""
        return split_files(self._config_folder(dataset))

    def configs(self, id: str) -> list[str]:
        """The configs of a data set that have rows. Raises UserError where the set is absent."""
        return sorted(path.name for path in self.home(id).iterdir() if path.is_dir() and split_files(path))

    def _file(self, dataset: DatasetRef, split: str) -> Path:
        # A set that lies in the layout of its first publishers has rows in its own folder, beside others.
        if dataset.config is None and split in (own := split_files(self.home(dataset.id))):
            return own[split]
        files = self.splits(dataset)
        if split not in files:
            folder = self._config_folder(dataset)
            raise UserError(
                f"{folder}: there is no split {split!r}, only {', '.join(sorted(files))}; "
                "add it with `evalkit data pull`, or ask for one of those"
            )
        return files[split]

    def _config_folder(self, dataset: DatasetRef) -> Path:
        home, there = self.home(dataset.id), self.configs(dataset.id)
        if dataset.config is not None:
            folder = home / _inside(dataset.config, f"config of {dataset.id}")
            if not split_files(folder):
                raise UserError(
                    f"{home}: data set {dataset.id} has no config {dataset.config!r} in the mirror"
                    f"{did_you_mean(dataset.config, there)}; add it with `evalkit data pull`"
                )
            return folder
        if "default" in there:
            return home / "default"
        if not there and split_files(home):
            return home
        if len(there) == 1:
            return home / there[0]
        raise UserError(
            f"{home}: data set {dataset.id} needs a config"
            + (f": one of {', '.join(there)}" if there else " folder with split files; it has none")
        )

    def home(self, id: str) -> Path:
        """The folder of a data set. UserError where the set is absent."""
        for name in (id, *ALIASES.get(id, ())):
            home = self.folder.joinpath(*(_inside(part, "data set") for part in name.split("/")))
            if home.is_dir():
                return home
        raise UserError(
            f"data folder {self.folder}: data set {id} is not there{did_you_mean(id, self.ids())}; "
            "add it with `evalkit data pull TASKS --to DIR`, or use --bundled"
        )

    def ids(self) -> list[str]:
        """The data sets that are there: folders that hold folders with split files."""
        found = set()
        for pattern in ("*/*", "*/*/*"):
            for config in self.folder.glob(pattern):
                if config.is_dir() and split_files(config):
                    found.add(config.parent.relative_to(self.folder).as_posix())
        return sorted(found)


def split_files(folder: Path) -> dict[str, Path]:
    """The files of rows in a folder, by split; JSON lines win over other forms of the same split."""
    found: dict[str, Path] = {}
    if not folder.is_dir():
        return found
    for suffix in rows.SUFFIXES:
        for path in sorted(folder.iterdir()):
            split = path.name.removesuffix(suffix)
            if path.name.endswith(suffix) and split and path.is_file():
                found.setdefault(split, path)
    return found


def _inside(part: str, what: str) -> str:
    """A name that stays in its folder; it may come from a task file."""
    if part in ("", ".", "..") or any(char in part for char in "/\\\0"):
        raise UserError(f"{what} {part!r}: not a name that a mirror can hold")
    return part
