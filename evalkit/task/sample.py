"""A task's few bundled items, of our own writing: JSON lines whose "_split" says where a row belongs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.task.definition import Sample
from evalkit.text.reading import json_lines, read_text


def rows(sample: Sample, split: str) -> list[dict[str, Any]]:
    """The rows of one split (and of one config, where the definition says how to tell), without "_split"."""
    return [
        {key: value for key, value in row.items() if key != "_split"}
        for row in _read(sample.file)
        if row["_split"] == split and all(str(row.get(key)) == value for key, value in sample.where.items())
    ]


def lines(file: Path) -> list[Mapping[str, Any]]:
    """All rows of a file of few-shot examples, whatever their split, without "_split"."""
    return [{key: value for key, value in row.items() if key != "_split"} for row in _read(file)]


def _read(file: Path) -> tuple[Mapping[str, Any], ...]:
    try:
        return _parse(file, file.stat().st_mtime_ns)
    except FileNotFoundError as error:
        raise UserError(f"{file}: the sample file is missing") from error


@lru_cache(maxsize=64)
def _parse(file: Path, modified: int) -> tuple[Mapping[str, Any], ...]:
    parsed = []
    for number, row in json_lines(file, read_text(file, "sample file").split("\n")):
        if not isinstance(row, dict) or "_split" not in row:
            raise UserError(f'{file}:{number}: a row is a JSON object with the key "_split"')
        parsed.append(row)
    return tuple(parsed)
