"""`evalkit.tasks`, `models`, `load_model`: what there is to evaluate, and on what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from evalkit.api.settings import ModelSettings, run_spec
from evalkit.backends import opening
from evalkit.contract.backend import Backend

if TYPE_CHECKING:
    import pandas as pd


def tasks(pattern: str = "*", *, include_path: Sequence[str | Path] = ()) -> pd.DataFrame:
    """Tasks and groups whose name matches, one a row, as `evalkit tasks list --all` shows them."""
    from dataclasses import asdict
    from fnmatch import fnmatchcase

    import pandas as pd

    from evalkit.task.listing import Row, listing

    rows = listing([Path(path) for path in include_path])
    columns = list(Row.__dataclass_fields__)
    return pd.DataFrame([asdict(row) for row in rows if fnmatchcase(row.name, pattern)], columns=columns)


def models() -> pd.DataFrame:
    """Models that have a name of their own, one a row; a Hub id, a folder, a .gguf file or a URL needs none."""
    import pandas as pd

    return pd.DataFrame(opening.listing())


def load_model(model: str, **settings: Unpack[ModelSettings]) -> Backend:
    """A model, loaded: give it to several calls of `evalkit.evaluate`, and ``close()`` it in the end.

    Raises UserError where it cannot be loaded.
    """

    spec = run_spec({**settings, "model": model, "tasks": ["any"]})
    return opening.open_backend(spec.model, spec.engine)
