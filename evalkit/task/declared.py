"""What a `benchmark.py` declares, read from its text: the file runs only when its task does.

So the catalog stays quick whatever such a file imports, and a stranger's code is not run for a list of names.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.registry import did_you_mean
from evalkit.data.generated import of_task
from evalkit.task.definition import Defined, MetricEntry, define
from evalkit.task.source import Source
from evalkit.text.reading import Keys, read_text

FILE = "benchmark.py"
BASE = "Benchmark"
STRIPPED = "remove_whitespace"
"""The filter of registered metrics of texts: a reply begins with white space, which their rules do not expect."""
KEYS: Mapping[str, Keys] = {
    "name": ("name",),
    "version": ("version",),
    "description": ("description",),
    "citation": ("citation",),
    "tags": ("tags",),
    "system": ("system",),
    "instruction": ("instruction",),
    "images": ("images",),
    "target_delimiter": ("target_delimiter",),
    "fewshot_delimiter": ("fewshot_delimiter",),
    "metrics": ("metrics",),
    "primary": ("primary",),
    "dataset": ("dataset", "id"),
    "config": ("dataset", "config"),
    "revision": ("dataset", "revision"),
    "split": ("dataset", "splits", "eval"),
    "fewshot_split": ("dataset", "splits", "fewshot"),
    "num_fewshot": ("fewshot", "num"),
    "items": ("sample", "file"),
    "until": ("generation", "until"),
    "max_tokens": ("generation", "max_tokens"),
    "random_baseline": ("baseline", "random"),
}
"""Where each attribute of the class stands in a definition."""


@dataclass(frozen=True, slots=True)
class Written:
    """A class as it is written: its attributes' expressions and the line of each attribute and method."""

    name: str
    line: int
    values: dict[str, ast.expr] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    methods: set[str] = field(default_factory=set)


def load_benchmark(file: Path) -> Defined:
    """The task of a benchmark.py. UserError names file and line of the first mistake."""
    text = read_text(file, "benchmark")
    try:
        tree = ast.parse(text, str(file))
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None) or 1
        raise UserError(f"{file}:{line}: no Python: {getattr(error, 'msg', None) or error}") from error
    one = _class(tree, file)
    values = {key: _literal(key, one, file) for key in one.values if key in KEYS}
    made = defined(one, values, file, file.name)
    return Defined(made.source, made.tasks, made.groups, made.description, build=partial(_build, one.name))


def _build(class_name: str, definition: Any, source: Source, options: Any) -> Any:
    from evalkit.task.benchmark import build

    return build(definition, source, options, class_name)


def _class(tree: ast.Module, file: Path) -> Written:
    nodes = [node for node in tree.body if isinstance(node, ast.ClassDef) and any(map(_is_base, node.bases))]
    if len(nodes) != 1:
        line = nodes[1].lineno if nodes else 1
        raise UserError(f"{file}:{line}: {len(nodes)} classes derive from evalkit.{BASE}; write exactly one")
    found = Written(nodes[0].name, nodes[0].lineno)
    for node in nodes[0].body:
        if isinstance(node, ast.FunctionDef):
            found.methods.add(node.name)
            found.lines[node.name] = node.lineno
            continue
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name) and value is not None:
                found.values[target.id] = value
                found.lines[target.id] = node.lineno
    check(found, file)
    return found


def _is_base(node: ast.expr) -> bool:
    return (isinstance(node, ast.Name) and node.id == BASE) or (isinstance(node, ast.Attribute) and node.attr == BASE)


def check(one: Written, file: Path) -> None:
    """What no single attribute can tell."""
    for method in ("prompt", "target"):
        if method not in one.methods:
            raise UserError(f"{file}:{one.line}: {one.name} has no method {method}(self, row)")
    if {"choices", "score"} <= one.methods:
        raise UserError(
            f"{file}:{one.lines['score']}: score judges a reply, and multiple choice has none: leave out choices or "
            "score"
        )
    if "score" in one.methods and "metrics" not in one.values:
        raise UserError(f"{file}:{one.lines['score']}: declare in metrics what score gives: metrics = [Metric(...)]")
    if "dataset" not in one.values and "items" not in one.values and "rows" not in one.methods:
        raise UserError(f"{file}:{one.line}: {one.name} has no rows: give dataset, items or a method rows")
    for key in one.values:
        near = did_you_mean(key, KEYS)
        if key not in KEYS and near and not key.startswith("_") and not key.isupper():
            raise UserError(f"{file}:{one.lines[key]}: unknown attribute {key!r}{near}")


def _literal(key: str, one: Written, file: Path) -> Any:
    value = one.values[key]
    if key == "metrics":
        return _metric_entries(value, one, file)
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise UserError(
            f"{file}:{one.lines[key]}: {key} must be written out: the catalog reads it without running the file"
        ) from None


def _metric_entries(value: ast.expr, one: Written, file: Path) -> list[dict[str, Any]]:
    """Entries of a definition's ``metrics``; an object is called "benchmark.py:NAME"."""
    found: list[dict[str, Any]] = []
    for part in value.elts if isinstance(value, ast.List | ast.Tuple) else [None]:
        name = _metric_name(part) if part is not None else None
        if name is None:
            raise UserError(
                f"{file}:{part.lineno if part is not None else one.lines['metrics']}: metrics is a list of names and "
                'of Metric(name="...", ...), written out'
            )
        found.append({"metric": name if isinstance(part, ast.Constant) else f"{file.name}:{name}"})
    return found


def _metric_name(part: ast.expr) -> str | None:
    if isinstance(part, ast.Call):
        named = next((keyword.value for keyword in part.keywords if keyword.arg == "name"), None)
        return _metric_name(named) if isinstance(named, ast.Constant) else None
    return part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else None


def defined(one: Written, values: dict[str, Any], file: Path, home: str) -> Defined:
    """The definition, as a task.yaml would say it, with the line of each part. ``values`` are those of `KEYS` that the
    class gives; metric objects among them are called "HOME:NAME".
    """
    choice = "choices" in one.methods
    values = {"version": "1.0", "split": "test", **values}
    values.setdefault("metrics", [{"metric": "acc" if choice else "exact_match"}])
    if values.get("dataset") is None:
        values |= {"dataset": of_task(str(values.get("name"))), "revision": None}
    named = [entry for entry in values["metrics"] if not choice and not entry["metric"].startswith(f"{home}:")]
    for entry in named:
        entry["filter"] = STRIPPED
    if values.get("primary") is not None:
        values["primary"] = _key(values["primary"], values["metrics"])
    if values.get("random_baseline") is None:
        values["random_baseline"] = "1/choices" if choice else None
    if values.get("items") is not None:
        values["items"] = _beside(values["items"], one, file)
    data: dict[str, Any] = {"kind": "multiple_choice" if choice else "generate"}
    if named:
        data["filters"] = {STRIPPED: [STRIPPED, "take_first"]}
    data |= {method: f"{method}(row)" for method in ("prompt", "target", "choices") if method in one.methods}
    marks: dict[Keys, tuple[Path, int]] = {(): (file, one.line)}
    marks |= {(name,): (file, line) for name, line in one.lines.items()}
    for key, value in values.items():
        if value is None and key not in ("revision", "config"):
            continue
        place = data
        for part in KEYS[key][:-1]:
            place = place.setdefault(str(part), {})
        place[str(KEYS[key][-1])] = value
        if key in one.lines:
            marks[KEYS[key]] = (file, one.lines[key])
    return define(Source(file, data, marks))


def _key(primary: Any, entries: list[dict[str, Any]]) -> Any:
    """The key in results of a metric that goes by its name; of one that is not there, as it was written."""
    keys = {(key := MetricEntry(**entry).key).rpartition(",")[0]: key for entry in entries}
    return keys.get(primary, primary) if isinstance(primary, str) else primary


def _beside(items: Any, one: Written, file: Path) -> str:
    """Rows go into prompts and reports: only the benchmark's own folder has such."""
    where = f"{file}:{one.lines.get('items', one.line)}"
    if not isinstance(items, str) or not items or "\0" in items:
        raise UserError(f"{where}: items is {items!r:.60}; give the name of a file beside")
    found = (file.parent / items).resolve()
    if not found.is_relative_to(file.parent.resolve()):
        raise UserError(f"{where}: {items!r} leads out of the benchmark's folder: put the file beside it")
    if not found.is_file():
        raise UserError(f"{where}: there is no file {items} beside")
    return str(found)
