"""Reading one file of rows: JSON lines (also gzipped), CSV or Parquet. Every error names the file and the line."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from evalkit.contract.errors import UserError

Row = dict[str, Any]
SUFFIXES = (".jsonl", ".jsonl.gz", ".csv", ".parquet")
_MEND = "mend or remove that line, or fetch the file again"


def read(path: Path) -> list[Row]:
    """All rows of a file; each has the same fields. Raises UserError for anything that is not whole."""
    try:
        if path.name.endswith(".parquet"):
            return _parquet(path)
        with _open(path) as file:
            return _csv(path, file) if path.name.endswith(".csv") else _json_lines(path, file)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: the compressed file is damaged ({error}); fetch it again") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error


def _open(path: Path) -> TextIO:
    if path.name.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _json_lines(path: Path, file: TextIO) -> list[Row]:
    rows: list[Row] = []
    for number, line in _lines(file):
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"{where}: no valid JSON ({error}); {_MEND}") from error
        except RecursionError as error:
            raise UserError(f"{where}: JSON nested too deep; {_MEND}") from error
        if not isinstance(row, dict):
            raise UserError(f"{where}: a row must be a JSON object, not {_kind(row)}; {_MEND}")
        if rows:
            _check_fields(where, rows[0], row)
        rows.append(row)
    return rows


def _lines(file: TextIO) -> Iterator[tuple[int, str]]:
    """Numbered lines that are not blank. Only a newline ends one: JSON strings may hold other separators."""
    for number, line in enumerate(file, start=1):
        if line.strip():
            yield number, line


def _check_fields(where: str, first: Row, row: Row) -> None:
    if row.keys() == first.keys():
        return
    missing = ", ".join(sorted(first.keys() - row.keys()))
    extra = ", ".join(sorted(row.keys() - first.keys()))
    what = " and ".join(part for part in (missing and f"lacks {missing}", extra and f"has beside them {extra}") if part)
    raise UserError(f"{where}: its fields differ from the first row's: it {what}; {_MEND}")


def _kind(value: object) -> str:
    names = {list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _csv(path: Path, file: TextIO) -> list[Row]:
    reader = csv.reader(file, strict=True)
    try:
        header = next(reader, [])
        if len(set(header)) != len(header):
            raise UserError(f"{path}, line 1: a column's name stands there twice; rename one")
        records = []
        for record in reader:
            if not record:
                continue
            if len(record) != len(header):
                raise UserError(
                    f"{path}, line {reader.line_num}: {len(record)} values for {len(header)} columns; {_MEND}"
                )
            records.append(record)
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: no valid CSV ({error}); {_MEND}") from error
    columns = [_typed([record[index] for record in records]) for index in range(len(header))]
    return [dict(zip(header, values, strict=True)) for values in zip(*columns, strict=True)] if records else []


def _typed(cells: list[str]) -> list[Any]:
    """A CSV column as whole numbers, numbers, booleans, or JSON lists and objects where every cell reads so."""
    for convert in (int, float, _boolean, _container):
        try:
            return [convert(cell) for cell in cells]
        except ValueError:
            continue
    return cells


def _boolean(cell: str) -> bool:
    if cell.lower() not in ("true", "false"):
        raise ValueError(cell)
    return cell.lower() == "true"


def _container(cell: str) -> Any:
    value = json.loads(cell)
    if not isinstance(value, list | dict):
        raise ValueError(cell)  # noqa: TRY004 - the caller tries the next type
    return value


def _parquet(path: Path) -> list[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, ValueError) as error:
        raise UserError(f"{path}: no valid Parquet file ({error}); fetch it again") from error
