"""`evalkit.tasks`, `models`, `load_model`: what there is to evaluate, and on what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from evalkit.api.settings import ModelSettings, run_spec
from evalkit.backends import opening
from evalkit.contract import registry
from evalkit.contract.backend import Backend
from evalkit.spec.models import DEFAULT_MODEL

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.task.listing import Description, Row


def tasks(pattern: str = "*", *, include_path: Sequence[str | Path] = ()) -> pd.DataFrame:
    """Tasks and groups whose name matches, one a row, as `evalkit tasks list --all` shows them."""
    from dataclasses import asdict

    import pandas as pd

    from evalkit.task.listing import Row

    rows = [asdict(row) for row in task_rows(pattern, include_path).rows]
    return pd.DataFrame(rows, columns=list(Row.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class Tasks:
    """Rows of tasks and groups, how many there are of any name, and what is wrong with files that are left out."""

    rows: Sequence[Row]
    known: int
    left_out: Sequence[str]


def task_rows(pattern: str = "*", include_path: Sequence[str | Path] = ()) -> Tasks:
    """Tasks and groups whose name matches, in order of their names."""
    from fnmatch import fnmatchcase

    from evalkit.task.listing import left_out, listing

    folders = [Path(path) for path in include_path]
    rows = listing(folders)
    return Tasks([row for row in rows if fnmatchcase(row.name, pattern)], len(rows), left_out(folders))


def describe_task(name: str, *, num_fewshot: int | None = None, include_path: Sequence[str | Path] = ()) -> Description:
    """One task's whole definition, and one prompt as a model sees it. Raises UserError for an unknown name."""
    from evalkit.task.listing import describe

    return describe(name, [Path(path) for path in include_path], num_fewshot)


def models() -> pd.DataFrame:
    """Models that have a name of their own, one a row; a Hub id, a folder, a .gguf file or a URL needs none."""
    import pandas as pd

    return pd.DataFrame(model_rows()["models"])


def model_rows() -> dict[str, Any]:
    """Models that have a name of their own ("models"), the installed backends and the default model."""
    return {
        "models": opening.listing(),
        "backends": list(registry.names(registry.BACKENDS)),
        "default": DEFAULT_MODEL,
    }


def load_model(model: str, **settings: Unpack[ModelSettings]) -> Backend:
    """A model, loaded: give it to several calls of `evalkit.evaluate`, and ``close()`` it in the end.

    Raises UserError where it cannot be loaded.
    """

    spec = run_spec({**settings, "model": model, "tasks": ["any"]})
    return opening.open_backend(spec.model, spec.engine)
