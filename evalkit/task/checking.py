"""What a definition makes of its rows, seen without a model: `evalkit tasks validate`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from evalkit.contract.types import PromptStyle, Request
from evalkit.data import open_source
from evalkit.task.catalog import Catalog
from evalkit.task.native import Options


@dataclass(frozen=True, slots=True)
class Checked:
    """One task over all its rows: how many there are, which cannot be scored and why, and the first prompt."""

    name: str
    file: Path
    n: int
    problems: tuple[tuple[int, str], ...]
    prompt: str
    choices: tuple[str, ...]
    answer: str
    warnings: tuple[str, ...]


def check(name: str, include_path: Iterable[Path] = (), data_dir: Path | None = None) -> list[Checked]:
    """Every task that ``name`` stands for, with each of its rows rendered. Raises UserError at what no run could use:
    a mistake in the definition, rows that are not there, a field that a template asks for and a row does not have.
    """
    catalog = Catalog.of(include_path)
    return [_checked(catalog, leaf, data_dir) for top in catalog.expand(name) for leaf in catalog.leaves(top)]


def _checked(catalog: Catalog, name: str, data_dir: Path | None) -> Checked:
    task = catalog.task(name, Options())
    documents = task.documents(open_source(data_dir))
    problems = []
    first: tuple[Request, ...] = ()
    for document, requests in zip(documents, task.requests(documents, PromptStyle()), strict=True):
        first = first or requests
        if problem := task.item(document).problem:
            problems.append((document.id, problem))
    prompt = str(getattr(first[0], "context", getattr(first[0], "text", ""))) if first else ""
    choices = tuple(one.continuation for one in first if hasattr(one, "continuation"))
    return Checked(
        name,
        catalog.files[name],
        len(documents),
        tuple(problems),
        prompt,
        choices,
        task.answer(documents[0]) if len(documents) else "",
        tuple(task.traits.warnings),
    )
