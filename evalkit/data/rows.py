"""Reading one file of rows, plain or compressed (.gz, .zst): JSON lines, JSON, CSV, TSV, text lines, Parquet.

What the file says is what a prompt shows: a value of a text format becomes a number or a boolean only where that is
written back as the very same text ("7" and "0.5", but not "007", "1.50", "1e5" or "yes"). A byte-order mark, CRLF and a
key that only some rows have make no difference: the key is None elsewhere. Every error names the file and the line.
"""

from __future__ import annotations

import csv
import gzip
import io
import logging
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from evalkit.contract.errors import UserError
from evalkit.text.reading import MAX_DIGITS, MAX_LINE, Malformed, bounded_lines, decode, json_lines, parse_json

Row = dict[str, Any]
_KINDS = (".jsonl", ".ndjson", ".csv", ".tsv", ".json", ".txt")
SUFFIXES = (
    ".jsonl",
    ".jsonl.gz",
    ".csv",
    ".parquet",
    *(
        kind + more
        for kind in _KINDS
        for more in ("", ".gz", ".zst")
        if kind + more not in (".jsonl", ".jsonl.gz", ".csv")
    ),
)
"""Of one split's files the first kind here is read."""

_MEND = "mend or remove that line, or fetch the file again"
log = logging.getLogger(__name__)


def read(path: Path) -> list[Row]:
    """All rows of a file; each has the same fields. Raises UserError for anything that is not whole."""
    name = path.name.removesuffix(".gz").removesuffix(".zst")
    try:
        if name.endswith(".parquet"):
            return _parquet(path)
        with _open(path) as file:
            return _whole_characters(path, _READERS.get(Path(name).suffix, _json_lines)(path, file))
    except UnicodeDecodeError as error:
        raise UserError(f"{not_utf8(path, error)}; save it as UTF-8") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: the compressed file is damaged ({error}); fetch it again") from error
    except (OSError, MemoryError, ValueError) as error:  # a ValueError: NUL in the path, a damaged .zst
        raise UserError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _open(path: Path) -> TextIO:
    return io.TextIOWrapper(_open_bytes(path), "utf-8-sig", newline="")


def _open_bytes(path: Path) -> Any:
    if path.name.endswith(".gz"):
        return gzip.open(path)
    if path.name.endswith(".zst"):
        import pyarrow

        return pyarrow.input_stream(str(path), compression="zstd")
    return path.open("rb")


def not_utf8(path: Path, error: UnicodeDecodeError) -> str:
    """Where a file is no UTF-8: its line, which the error itself, of a piece of the file, does not know."""
    with _open_bytes(path) as file:
        for number, line in enumerate(io.BufferedReader(file), 1):
            try:
                decode(line) if number == 1 else line.decode()
            except Malformed as reason:
                return f"{path}:1: {reason}"
            except UnicodeDecodeError as there:
                return f"{path}:{number}: not UTF-8 text ({there.reason}: {there.object[there.start]:#04x})"
    return f"{path}: not UTF-8 text ({error.reason})"


def _lines(path: Path, file: TextIO) -> Iterator[str]:
    """The lines of a format that has no way to write a NUL: one is what UTF-16 looks like without its mark, or damage.
    A second byte-order mark, which some programs add, is no part of the text either.
    """
    for number, line in enumerate(bounded_lines(file), 1):
        if "\0" in line:
            raise UserError(f"{path}:{number}: a NUL character, as in UTF-16 or a damaged file; save it as UTF-8")
        yield line.removeprefix("\ufeff") if number == 1 else line


def _json_lines(path: Path, file: TextIO) -> list[Row]:
    return _filled([_object(f"{path}:{number}", row) for number, row in json_lines(path, bounded_lines(file), _MEND)])


def _json(path: Path, file: TextIO) -> list[Row]:
    """A list of objects, or one object whose only list of objects the rows are ({"data": [...]}). JSON lines too, as
    several data sets name them.
    """
    text = file.read().removeprefix("\ufeff")
    try:
        found = parse_json(text)
    except Malformed as error:
        if _begins_with_a_line(text):
            return _filled([_object(f"{path}:{at}", row) for at, row in json_lines(path, text.split("\n"), _MEND)])
        raise UserError(f"{path}:{error.line or 1}: not valid JSON ({error}); {_MEND}") from None
    if isinstance(found, dict):
        lists = [value for value in found.values() if isinstance(value, list)]
        found = lists[0] if len(lists) == 1 else found
    if not isinstance(found, list):
        raise UserError(f"{path}: a file of rows is a list of JSON objects, not {_kind(found)}; write [{{...}}, ...]")
    return _filled([_object(f"{path}, row {number}", row) for number, row in enumerate(found, 1)])


def _begins_with_a_line(text: str) -> bool:
    """Whether the first line that is not blank is an object by itself."""
    try:
        return isinstance(parse_json(text.lstrip().partition("\n")[0]), dict)
    except Malformed:
        return False


def _object(where: str, row: Any) -> Row:
    if not isinstance(row, dict):
        raise UserError(f"{where}: a row must be a JSON object, not {_kind(row)}; {_MEND}")
    return row


def _filled(rows: list[Row]) -> list[Row]:
    """The same rows, each with all fields, in the order in which they appear first; None where a row has none."""
    fields: dict[str, None] = {}
    for row in rows:
        fields.update(dict.fromkeys(row))
    if all(len(row) == len(fields) for row in rows):
        return rows
    return [{name: row.get(name) for name in fields} for row in rows]


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _text_lines(path: Path, file: TextIO) -> list[Row]:
    """A row for each line, its text in the field "text"."""
    return [{"text": line.removesuffix("\n").removesuffix("\r")} for line in _lines(path, file)]


def _whole_characters(path: Path, rows: list[Row]) -> list[Row]:
    """The rows, with U+FFFD for each half of a surrogate pair: JSON may spell one, no model's tokenizer takes it."""
    bad = 0

    def mend(value: Any) -> Any:
        nonlocal bad
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                bad += 1
                return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        elif isinstance(value, list):
            return [mend(one) for one in value]
        elif isinstance(value, dict):
            # One copy of a field's name, however many rows there are.
            return {sys.intern(str(mend(key))): mend(one) for key, one in value.items()}
        return value

    mended = [mend(row) for row in rows]
    if bad:
        log.warning("%s: %d texts hold half a surrogate pair, which is no character: read as U+FFFD", path, bad)
    return mended


def _tsv(path: Path, file: TextIO) -> list[Row]:
    return _csv(path, file, "\t")


def _csv(path: Path, file: TextIO, delimiter: str = ",") -> list[Row]:
    csv.field_size_limit(MAX_LINE)  # the package's own limit, 128 Ki characters, is shorter than an article
    reader = csv.reader(_lines(path, file), strict=True, delimiter=delimiter)
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
    """A column as whole numbers, numbers, booleans, or JSON lists and objects where every cell reads so."""
    for convert in (_number, _boolean, _container):
        try:
            return [convert(cell) for cell in cells]
        except ValueError:
            continue
    return cells


def _same(value: Any, cell: str) -> Any:
    if str(value) != cell:
        raise ValueError(cell)
    return value


def _number(cell: str) -> int | float:
    if cell.removeprefix("-").isdecimal() and len(cell) < MAX_DIGITS:
        return int(_same(int(cell), cell))
    return float(_same(float(cell), cell))


def _boolean(cell: str) -> bool:
    return bool(_same(cell == "True", cell))


def _container(cell: str) -> Any:
    value = parse_json(cell)
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


_READERS: Mapping[str, Callable[[Path, TextIO], list[Row]]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".json": _json,
    ".txt": _text_lines,
}
