"""The one reader of JSON and YAML that others wrote: files, lines of files, arguments and servers' replies.

What is read is bounded (bytes, nesting, values, digits), so that no text can exhaust the memory or the stack, and what
cannot be read is told in one line that names file and line. A byte-order mark is no part of a text.

Example::

    from evalkit.text.reading import read_yaml

    policy = read_yaml(Path("gate.yaml"), "policy")
    if "alpha" in policy.data and not isinstance(policy.data["alpha"], float):
        raise UserError(f"{policy.locate('alpha')}: must be a share")     # gate.yaml:3: alpha: must be a share
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError

MAX_BYTES = 256 << 20
"""Of a JSON file or reply."""

MAX_YAML_BYTES = 16 << 20
MAX_LINE = 64 << 20
"""Characters of one line of JSON Lines."""

MAX_DEPTH = 200
"""Levels of nested lists and objects in JSON: far below Python's limit of recursion, which everything that walks a
value shares."""

MAX_DIGITS = 300
"""Of an integer: more would not fit a floating-point number, which most of what is done with one needs."""

MEND = "mend the file"
Keys = tuple[str | int, ...]

_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


class Malformed(ValueError):
    """A text that is no JSON or YAML, or goes beyond the bounds. ``line`` counts from 1; None where it is not known."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file's value, and the line of every key and list item in it."""

    file: Path
    data: Any
    lines: Mapping[Keys, int] = field(default_factory=dict)

    def line(self, *keys: str | int) -> int:
        """The line of a value, or of the nearest one around it that the file has."""
        near = keys
        while near and near not in self.lines:
            near = near[:-1]
        return self.lines.get(near, 1)

    def locate(self, *keys: str | int) -> str:
        """ "FILE:LINE: key[0].subkey" of a value, or of the nearest one around it that the file has."""
        name = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).lstrip(".")
        return f"{self.file}:{self.line(*keys)}" + (f": {name}" if name else "")


def read_text(path: Path, what: str = "file", limit: int = MAX_BYTES) -> str:
    """A whole UTF-8 file without its byte-order mark. Raises UserError for one that cannot be read, is no UTF-8, or is
    longer than ``limit`` bytes.
    """
    try:
        return decode(read_bytes(path, what, limit))
    except Malformed as error:
        raise UserError(f"{_place(path, error)}: {error}: save it as UTF-8") from None


def read_bytes(path: Path, what: str = "file", limit: int = MAX_BYTES) -> bytes:
    """A whole file. Raises UserError for one that cannot be read or is longer than ``limit`` bytes."""
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except (OSError, ValueError) as error:  # a ValueError: NUL in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{path}: cannot be read ({reason}): give a readable {what}") from None
    if len(content) > limit:
        raise UserError(f"{path}: longer than {limit >> 20} MiB: that is no {what}")
    return content


def decode(content: bytes) -> str:
    """UTF-8 text without its byte-order mark. Raises Malformed."""
    if content[:2] in _MARKS:
        raise Malformed(f"not UTF-8 text but {_MARKS[content[:2]]}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Malformed(f"not UTF-8 text ({error.reason} at byte {error.start})", line) from None


def parse_json(text: str | bytes, constant: Callable[[str], Any] | None = None) -> Any:
    """The value of a JSON text. NaN and Infinity are read, as Python writes them; ``constant`` makes something else of
    their names. Raises Malformed.
    """
    if isinstance(text, bytes):
        text = decode(text)
    try:
        value = _decoder(constant).decode(text)
    except json.JSONDecodeError as error:
        raise Malformed(error.msg, error.lineno) from None
    except RecursionError:
        raise Malformed(f"nested more than {MAX_DEPTH} levels deep") from None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value)
    return value


@cache
def _decoder(constant: Callable[[str], Any] | None) -> json.JSONDecoder:
    return json.JSONDecoder(parse_int=_integer, parse_constant=constant)


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise Malformed(f"an integer of {len(digits)} digits: at most {MAX_DIGITS} are read")
    return int(digits)


def _check_depth(value: Any) -> None:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for one in level:
            items: Iterable[Any] = one.values() if isinstance(one, dict) else one
            inner += [item for item in items if isinstance(item, dict | list)]
        if not (level := inner):
            return
    raise Malformed(f"nested more than {MAX_DEPTH} levels deep")


def read_json(path: Path, what: str = "JSON file", mend: str = MEND) -> Any:
    """The value of a JSON file. Raises UserError that names file and line and ends in ``mend``, what to do."""
    text = read_text(path, what)
    try:
        return parse_json(text)
    except Malformed as error:
        raise UserError(f"{_place(path, error)}: not valid JSON ({error}): {mend}") from None


def json_lines(path: Path, lines: Iterable[str], mend: str = "mend or remove that line") -> Iterator[tuple[int, Any]]:
    """(line number, value) of each line of JSON Lines that is not blank. Only a newline ends a line: JSON strings may
    hold other separators. Raises UserError that names file and line.
    """
    for number, line in enumerate(lines, start=1):
        if number == 1:
            line = line.removeprefix("\ufeff")
        if len(line) > MAX_LINE:
            raise UserError(f"{path}:{number}: a line of more than {MAX_LINE >> 20} Mi characters: {mend}")
        if line.strip():
            try:
                yield number, parse_json(line)
            except Malformed as error:
                raise UserError(f"{path}:{number}: not valid JSON ({error}): {mend}") from None


def bounded_lines(file: Any) -> Iterator[str]:
    """A text file's lines, cut where one is longer than any that is read: a line without end fills no memory."""
    while line := file.readline(MAX_LINE + 1):
        yield line


def parse_yaml(text: str) -> tuple[Any, dict[Keys, int]]:
    """The value of a YAML text by the 1.2 core schema (see `evalkit.text.yaml_core`), and the line of each key and list
    item. Raises Malformed.
    """
    import yaml

    from evalkit.text import yaml_core

    if "\0" in text:
        raise Malformed("a NUL character", _line_of(text, "\0"))
    try:
        return yaml_core.load(text)
    except yaml.reader.ReaderError as error:
        code = error.character if isinstance(error.character, int) else ord(error.character[:1])
        raise Malformed(f"the character U+{code:04X} is not allowed", _line_of(text, chr(code))) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = " ".join(str(getattr(error, "problem", None) or error).split())
        raise Malformed(reason[:200], mark.line + 1 if mark else None) from None


def _line_of(text: str, part: str) -> int:
    return text.count("\n", 0, max(0, text.find(part))) + 1


def read_yaml(path: Path, what: str = "YAML file", mend: str = MEND) -> Document:
    """A YAML file's value and lines. Raises UserError that names file and line and ends in ``mend``, what to do."""
    text = read_text(path, what, MAX_YAML_BYTES)
    try:
        data, lines = parse_yaml(text)
    except Malformed as error:
        raise UserError(f"{_place(path, error)}: not valid YAML ({error}): {mend}") from None
    return Document(path, data, lines)


def _place(path: Path, error: Malformed) -> str:
    return str(path) if error.line is None else f"{path}:{error.line}"
