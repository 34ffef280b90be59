"""Reading task.yaml: the values, and the file and line of every one of them, across ``extends``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.store.paths import share
from evalkit.text.reading import Keys, read_yaml


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


def of_file(dataset: Mapping[str, Any], path: Any) -> dict[str, Any]:
    """The entry ``dataset`` of rows in a file: every split is the whole file."""
    rows = {"id": f"file/{Path(str(path)).name}", "revision": None, "splits": {"eval": "all", "fewshot": "all"}}
    return {**rows, **dataset, "path": path}


def _parse(file: Path) -> Source:
    try:
        state = file.stat()
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from error
    return _parse_version(file, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4096)
def _parse_version(file: Path, modified: int, size: int) -> Source:
    """One file, parsed once for each of its versions."""
    found = read_yaml(file, "definition")
    if not isinstance(found.data, dict):
        raise UserError(f"{file}:1: a definition is a mapping of keys to values (name: ..., dataset: ...)")
    marks = {keys: (file, line) for keys, line in found.lines.items()}
    return Source(file, _anchor(found.data, file.parent, found.locate), marks)


def _anchor(data: dict[str, Any], folder: Path, locate: Callable[[str], str]) -> dict[str, Any]:
    """Paths inside a file are relative to it; made absolute before another file can extend it. UserError for a path of
    rows that leads elsewhere.
    """

    def absolute(value: Any) -> Any:
        return str((folder / value).resolve()) if isinstance(value, str) else value

    def inside(value: Any, key: str) -> Any:
        """A file of rows, which goes into prompts and reports: only the definition's own folder has such."""
        if not isinstance(value, str):
            return value
        found = (folder / value.replace("\0", "")).resolve()
        shipped = share("tasks").resolve()  # ours may share a file
        homes = [folder.resolve(), *([shipped] if folder.resolve().is_relative_to(shipped) else [])]
        if Path(value).is_absolute() or "\0" in value or not any(map(found.is_relative_to, homes)):
            raise UserError(f"{locate(key)}: {value!r} leads out of the definition's folder: put the file beside it")
        return str(found)

    def code(value: Any) -> Any:
        if not isinstance(value, str) or ".py:" not in value:
            return value
        path, _, name = value.rpartition(":")
        return f"{absolute(path)}:{name}"

    data = dict(data)
    if "sample" in data:
        sample = data["sample"]
        with_file = isinstance(sample, dict) and "file" in sample
        data["sample"] = {**sample, "file": inside(sample["file"], "sample")} if with_file else inside(sample, "sample")
    if isinstance(dataset := data.get("dataset"), dict) and "path" in dataset:
        if "id" in dataset:
            raise UserError(f"{locate('dataset')}: give id (a data set of the Hub) or path (a file), not both")
        data["dataset"] = of_file(dataset, inside(dataset["path"], "dataset"))
    fewshot = data.get("fewshot")
    if isinstance(fewshot, dict) and "file" in fewshot:
        data["fewshot"] = {**fewshot, "file": inside(fewshot["file"], "fewshot")}
    if "process" in data:
        data["process"] = code(data["process"])
    if isinstance(data.get("metrics"), list):
        data["metrics"] = [
            {**one, "metric": code(one.get("metric"))} if isinstance(one, dict) and "metric" in one else one
            for one in data["metrics"]
        ]
    return data
