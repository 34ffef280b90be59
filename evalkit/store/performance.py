"""performance.parquet: every duration that a run's counters summarise, one row a pass, step or first token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.store.files import replacing


def write(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Keep columns of equal length, atomically. Raises UserError if they cannot be saved."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({name: list(values) for name, values in columns.items()})
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read(path: Path) -> dict[str, list[Any]]:
    """The columns as they were written; empty where the run measured nothing."""
    import pyarrow.parquet as pq

    return dict(pq.read_table(path).to_pydict()) if path.is_file() else {}
