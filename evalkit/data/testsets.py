"""Translation test sets that sacrebleu knows: data set ids "sacrebleu/wmt20", a language pair for their config.

A row is {"source", "target", "references", "source_language", "target_language"}; ``target`` is the first reference.
They come from sacrebleu's own download, or from a mirror in either of two layouts: ``sacrebleu/wmt20/de-en/test.jsonl``
(as `evalkit data pull` writes it), or ``wmt22/`` with the organisers' text files NAME.PAIR.src.LANGUAGE and
NAME.PAIR.ref.A.LANGUAGE.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.registry import did_you_mean
from evalkit.contract.types import DatasetRef

PREFIX = "sacrebleu/"
SPLIT = "test"
_PAIR = re.compile(r"[a-z]{2,3}(?:_[A-Za-z]+)?-[a-z]{2,3}(?:_[A-Za-z]+)?")


def is_test_set(dataset: DatasetRef) -> bool:
    """Whether the id names one of sacrebleu's test sets."""
    return dataset.id.startswith(PREFIX)


def check(test_set: str, pair: str) -> None:
    """UserError unless ``pair`` is two language codes ("de-en")."""
    if not _PAIR.fullmatch(pair):
        raise UserError(f"{test_set}:{pair}: a language pair is two codes, as in {test_set}:de-en")


def fetch(dataset: DatasetRef, split: str) -> Sequence[Mapping[str, Any]]:
    """Rows through sacrebleu, which downloads what it has not yet. UserError names both ways out."""
    from sacrebleu.dataset import DATASETS

    name, pair = _names(dataset, split)
    if name not in DATASETS:
        raise UserError(f"{name}:{pair}: sacrebleu has no test set {name!r}{did_you_mean(name, DATASETS)}")
    found = DATASETS[name]
    if pair not in found.langpairs:
        near = did_you_mean(pair, found.langpairs) or f"; it has {', '.join(sorted(found.langpairs))}"
        raise UserError(f"{name}:{pair}: the test set {name} has no pair {pair}{near}")
    try:
        sources = list(found.source(pair))
        references = [[line.rstrip("\r\n") for line in lines] for lines in found.references(pair)]
    except ImportError as error:
        raise UserError(
            f"{name}:{pair}: reading this test set needs the package lxml: pip install 'evalkit-harness[translation]'"
        ) from error
    except (Exception, SystemExit) as error:  # sacrebleu ends the program where a download fails
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"{name}:{pair}: sacrebleu cannot download the test set ({reason}): use a mirror (`--data-dir DIR`; make "
            f"one on a connected machine with `evalkit data pull {name}:{pair} --to DIR`), or the bundled items "
            "(`--bundled`)"
        ) from error
    return _rows(pair, sources, references, f"{name}:{pair}")


def from_folder(folder: Path, dataset: DatasetRef, split: str) -> Sequence[Mapping[str, Any]]:
    """Rows from a mirror's text files of the organisers. UserError where there are none."""
    name, pair = _names(dataset, split)
    source, target = pair.split("-")
    home = folder / name
    files = sorted(home.glob(f"*.{pair}.src.{source}")) if home.is_dir() else []
    if not files:
        raise UserError(
            f"data folder {folder}: it has neither {name}/*.{pair}.src.{source} nor {dataset.id}/{pair}; add it with "
            f"`evalkit data pull {name}:{pair} --to DIR` on a connected machine, or use --bundled"
        )
    stem = files[0].name.removesuffix(f".src.{source}")
    references = sorted(home.glob(f"{stem}.ref.*.{target}")) or sorted(home.glob(f"{stem}.ref.{target}"))
    if not references:
        raise UserError(f"{home}: {files[0].name} has no reference beside it ({stem}.ref.A.{target})")
    columns = [_lines(path) for path in references]
    sources = _lines(files[0])
    for path, column in zip(references, columns, strict=True):
        if len(column) != len(sources):
            raise UserError(f"{path}: {len(column)} lines for {len(sources)} source lines in {files[0].name}")
    return _rows(pair, sources, [list(row) for row in zip(*columns, strict=True)], f"{name}:{pair}")


def _names(dataset: DatasetRef, split: str) -> tuple[str, str]:
    name, pair = dataset.id.removeprefix(PREFIX), dataset.config or ""
    check(name, pair)
    if split != SPLIT:
        raise UserError(f"{name}:{pair}: a test set has the one split {SPLIT!r}, not {split!r}")
    if ".." in name.split("/"):
        raise UserError(f"{name}:{pair}: not a test set's name")
    return name, pair


def _lines(path: Path) -> list[str]:
    """Only a newline ends a line: sentences may hold Unicode's other separators."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def _rows(pair: str, sources: Sequence[str], references: Sequence[Sequence[str]], where: str) -> list[dict[str, Any]]:
    if len(sources) != len(references) or not sources:
        raise UserError(f"{where}: {len(sources)} sources and {len(references)} references; fetch the test set again")
    source, target = pair.split("-")
    return [
        {
            "source": text,
            "target": several[0],
            "references": list(several),
            "source_language": source,
            "target_language": target,
        }
        for text, several in zip(sources, references, strict=True)
    ]
