"""`evalkit.tasks`, `models`, `load_model`: what there is to evaluate, and on what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from evalkit.api.settings import ModelSettings, run_spec
from evalkit.backends import opening
from evalkit.contract import registry
from evalkit.contract.backend import Backend
from evalkit.contract.errors import UserError
from evalkit.spec.models import DEFAULT_MODEL, TaskSpec
from evalkit.spec.naming import task_name
from evalkit.task.families import forms

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.task.checking import Checked
    from evalkit.task.listing import Description, Row


def tasks(pattern: str = "*", *, include_path: Sequence[str | Path] = ()) -> pd.DataFrame:
    """Tasks and groups whose name matches or that speak of it, one a row, as `evalkit tasks list --all` has them."""
    from dataclasses import asdict

    import pandas as pd

    from evalkit.task.listing import Row

    rows = [asdict(row) for row in task_rows(pattern, include_path).rows]
    return pd.DataFrame(rows, columns=list(Row.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class Tasks:
    """Rows of tasks and groups; the names of those that are parts of one benchmark; families of names with what they
    stand for; and what is wrong with files that are left out.
    """

    rows: Sequence[Row]
    parts: frozenset[str]
    families: Mapping[str, str]
    left_out: Sequence[str]


def task_rows(word: str = "*", include_path: Sequence[str | Path] = ()) -> Tasks:
    """Tasks, groups and families whose name matches or, where no name does, that speak of the word; by name."""
    from evalkit.task.listing import left_out, listing, matching, parts

    folders = [Path(path) for path in include_path]
    rows = listing(folders)
    low = "" if word == "*" else word.casefold()
    found = matching(rows, word)
    known = {row.name for row in found}  # a form's example may be a task of some group too
    told = {form: what for form, what in forms().items() if form not in known}
    families = {form: what for form, what in told.items() if low in f"{form} {what}".casefold()}
    return Tasks(found, frozenset(parts(rows)), families, left_out(folders))


def describe_task(name: str, *, num_fewshot: int | None = None, include_path: Sequence[str | Path] = ()) -> Description:
    """One task's whole definition, and one prompt as a model sees it. Raises UserError for an unknown name."""
    from evalkit.task.listing import describe

    return describe(name, [Path(path) for path in include_path], num_fewshot)


def write_task(folder: Path, *, data: Path, prompt: str, target: str, choices: str | None = None) -> Path:
    """A folder with the definition of a task over one's own rows, and a copy of them; its task.yaml. Raises UserError
    for what makes no task.
    """
    from evalkit.task.own import write

    name = task_name(folder)
    if name != folder.name:
        raise UserError(f"{folder.name}: a task's name has letters, digits and underscores; for example {name}")
    return write(TaskSpec(name=name, data=data, prompt=prompt, target=target, choices=choices), folder)


def check_tasks(
    name: str | None, *, include_path: Sequence[str | Path] = (), data_dir: str | Path | None = None
) -> list[Checked]:
    """What the tasks called ``name`` make of their rows; None: those of the folders. Raises UserError."""
    from evalkit.task.catalog import Catalog
    from evalkit.task.checking import check

    folders = [Path(path) for path in include_path]
    if name is not None:
        names: list[str] = [name]
    else:
        homes = [folder.resolve() for folder in folders]
        catalog = Catalog.of(folders)
        for file, error in catalog.broken.items():
            if any(file.resolve().is_relative_to(home) for home in homes):
                raise error
        files = catalog.files
        names = [one for one, file in files.items() if any(file.resolve().is_relative_to(home) for home in homes)]
    found: dict[str, Checked] = {}
    for one in names:
        found |= {checked.name: checked for checked in check(one, folders, Path(data_dir) if data_dir else None)}
    return list(found.values())


def models() -> pd.DataFrame:
    """Models that have a name of their own, one a row; a Hub id, a folder, a .gguf file or a URL needs none."""
    import pandas as pd

    return pd.DataFrame(model_rows()["models"])


def model_rows() -> dict[str, Any]:
    """Models that have a name of their own ("models"), the installed backends and the default model."""
    return {
        "models": opening.listing(),
        "providers": opening.providers(),
        "backends": list(registry.names(registry.BACKENDS)),
        "default": DEFAULT_MODEL,
    }


def load_model(model: str, **settings: Unpack[ModelSettings]) -> Backend:
    """A model, loaded: give it to several calls of `evalkit.evaluate`, and ``close()`` it in the end.

    Raises UserError where it cannot be loaded.
    """

    spec = run_spec({**settings, "model": model, "tasks": ["any"]})
    return opening.open_backend(spec.model, spec.engine)
