"""performance.parquet: every duration that a run's counters summarise, one row a pass, step or first token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError


def write(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Keep columns of equal length, atomically. Raises UserError if they cannot be saved."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    scratch = path.with_name(f".{path.name}.tmp")
    try:
        pq.write_table(pa.table({name: list(values) for name, values in columns.items()}), scratch, compression="zstd")
        scratch.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}): make room, or give another --output") from None


def read(path: Path) -> dict[str, list[Any]]:
    """The columns as they were written; empty where the run measured nothing."""
    import pyarrow.parquet as pq

    return dict(pq.read_table(path).to_pydict()) if path.is_file() else {}
