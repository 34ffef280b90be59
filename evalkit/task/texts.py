"""The family perplexity:PATH: how well a model predicts a text file, or all texts of a folder.

A .txt or .md file is one document; every line of a .jsonl file with a "text" is one. Of a folder all such files count,
in the order of their paths.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import DatasetRef, DataSource
from evalkit.data import rows as row_files
from evalkit.store import paths
from evalkit.task.definition import Defined, load_task
from evalkit.task.families import argument

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog
    from evalkit.task.native import Options

FORMS = {"perplexity:PATH": "how well a model predicts a text file, or all texts of a folder"}
SUFFIXES = (".txt", ".md", ".jsonl")


def family(name: str, catalog: Catalog) -> Defined:
    """The task ``name``. UserError where the path is not there or holds no text."""
    path = Path(argument(name)).expanduser()
    if not argument(name) or not path.exists():
        raise UserError(f"{name}: there is no such file or folder; give perplexity:PATH of a text file or a folder")
    template = load_task(paths.share("tasks") / "perplexity" / "texts.yaml")
    definition = template.tasks[0].model_copy(
        update={"name": name, "dataset": template.tasks[0].dataset.model_copy(update={"id": path.name or "texts"})}
    )

    def build(definition: Any, source: Any, options: Options) -> Any:
        from evalkit.task.native import NativeTask

        return NativeTask(definition, source, options, rows=partial(_rows, path))

    return Defined(template.source, (definition,), (), definition.description, build=build)


def _rows(path: Path, dataset: DatasetRef, split: str, data: DataSource) -> list[dict[str, Any]]:
    files = sorted(one for one in path.rglob("*") if one.suffix in SUFFIXES) if path.is_dir() else [path]
    found = [
        row for file in files for row in _of_file(file, file.relative_to(path) if path.is_dir() else Path(file.name))
    ]
    if not found:
        raise UserError(f"{path}: holds no text; files {', '.join(SUFFIXES)} are read")
    return found


def _of_file(file: Path, label: Path) -> Iterator[dict[str, Any]]:
    if file.suffix == ".jsonl":
        for number, row in enumerate(row_files.read(file), 1):
            if not isinstance(row.get("text"), str):
                raise UserError(f'{file}: row {number} has no "text"; a line is a JSON object with the key text')
            if row["text"].strip():
                yield {"text": row["text"], "file": f"{label.as_posix()}:{number}"}
        return
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{row_files.not_utf8(file, error)}; save it as UTF-8") from error
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UserError(f"{file}:{line}: a NUL character, as in UTF-16 or a damaged file; save it as UTF-8")
    if text.strip():
        yield {"text": text, "file": label.as_posix()}
