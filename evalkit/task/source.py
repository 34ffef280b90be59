"""Reading task.yaml: the values, and the file and line of every one of them, across ``extends``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from evalkit.errors import UserError

Keys = tuple[str | int, ...]
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Source:
    """A definition as it was written: plain values, and where each stands."""

    file: Path
    data: Mapping[str, Any]
    marks: Mapping[Keys, tuple[Path, int]] = field(default_factory=lambda: MappingProxyType({}))

    def locate(self, *keys: str | int) -> str:
        """ "FILE:LINE: key[0].subkey" of a value, or of the nearest one around it that the file has."""
        near = keys
        while near and near not in self.marks:
            near = near[:-1]
        file, line = self.marks.get(near, (self.file, 1))
        name = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).lstrip(".")
        return f"{file}:{line}: {name}" if name else f"{file}:{line}"


def read(file: Path) -> Source:
    """A file's values with what it ``extends`` underneath (mappings merge key by key, all else is replaced).

    Raises UserError with file and line for text that is no YAML mapping, for a key written twice, and for a missing
    or circular ``extends``.
    """
    return _read(file.resolve(), ())


def _read(file: Path, seen: tuple[Path, ...]) -> Source:
    own = _parse(file)
    if "extends" not in own.data:
        return own
    target = own.data["extends"]
    if not isinstance(target, str):
        raise UserError(f"{own.locate('extends')}: give the path of one task.yaml")
    base_file = (file.parent / target).resolve()
    if base_file in (*seen, file):
        raise UserError(f"{own.locate('extends')}: {target} extends this file in turn; break the circle")
    if not base_file.is_file():
        raise UserError(f"{own.locate('extends')}: there is no file {target}")
    base = _read(base_file, (*seen, file))
    data, marks = _merge(base, own, ())
    data.pop("extends", None)
    return Source(file, data, marks)


def _merge(base: Source, own: Source, at: Keys) -> tuple[dict[str, Any], dict[Keys, tuple[Path, int]]]:
    marks: dict[Keys, tuple[Path, int]] = dict(base.marks)

    def join(low: Mapping[str, Any], high: Mapping[str, Any], keys: Keys) -> dict[str, Any]:
        joined = dict(low)
        for key, value in high.items():
            here = (*keys, key)
            if isinstance(value, Mapping) and isinstance(low.get(key), Mapping):
                joined[key] = join(low[key], value, here)
            else:
                for stale in [mark for mark in marks if mark[: len(here)] == here]:
                    del marks[stale]
                joined[key] = value
        return joined

    data = join(base.data, own.data, at)
    marks.update(own.marks)
    return data, marks


def _parse(file: Path) -> Source:
    try:
        state = file.stat()
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from error
    return _parse_version(file, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4096)
def _parse_version(file: Path, modified: int, size: int) -> Source:
    """One file, parsed once for each of its versions."""
    marks: dict[Keys, tuple[Path, int]] = {}
    try:
        loader = _Loader(file.read_text(encoding="utf-8"))
        try:
            node = loader.get_single_node()
            if node is not None:
                _mark(node, (), file, marks, ())
            data = loader.construct_document(node) if node is not None else None
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise UserError(f"{file}:{line}: no valid YAML: {getattr(error, 'problem', None) or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: is no UTF-8 text: {error.reason}") from error
    if node is None or not isinstance(data, dict):
        raise UserError(f"{file}:1: a definition is a mapping of keys to values (name: ..., dataset: ...)")
    return Source(file, _anchor(data, file.parent), marks)


def _mark(node: Any, at: Keys, file: Path, marks: dict[Keys, tuple[Path, int]], above: tuple[int, ...]) -> None:
    """Note the line of every key and list item below a node."""
    if id(node) in above:
        raise UserError(f"{file}:{node.start_mark.line + 1}: a YAML anchor contains itself")
    above = (*above, id(node))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            here = (*at, str(key.value))
            line = key.start_mark.line + 1
            if str(key.value) in seen:
                raise UserError(f"{file}:{line}: {key.value}: is written twice (first on line {marks[here][1]})")
            seen.add(str(key.value))
            marks[here] = (file, line)
            _mark(value, here, file, marks, above)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            marks[(*at, index)] = (file, value.start_mark.line + 1)
            _mark(value, (*at, index), file, marks, above)


def _anchor(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Paths inside a file are relative to it; made absolute before another file can extend it."""

    def absolute(value: Any) -> Any:
        return str((folder / value).resolve()) if isinstance(value, str) else value

    def code(value: Any) -> Any:
        if not isinstance(value, str) or ".py:" not in value:
            return value
        path, _, name = value.rpartition(":")
        return f"{absolute(path)}:{name}"

    data = dict(data)
    if "sample" in data:
        sample = data["sample"]
        with_file = isinstance(sample, dict) and "file" in sample
        data["sample"] = {**sample, "file": absolute(sample["file"])} if with_file else absolute(sample)
    fewshot = data.get("fewshot")
    if isinstance(fewshot, dict) and "file" in fewshot:
        data["fewshot"] = {**fewshot, "file": absolute(fewshot["file"])}
    if "process" in data:
        data["process"] = code(data["process"])
    if isinstance(data.get("metrics"), list):
        data["metrics"] = [
            {**one, "metric": code(one.get("metric"))} if isinstance(one, dict) and "metric" in one else one
            for one in data["metrics"]
        ]
    return data
