"""performance.parquet: every duration that a run's counters summarise, one row a pass, step or first token."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.store.files import replacing

ROWS_AT_ONCE = 1 << 20
"""Rows in one row group."""


def write(path: Path, durations: Mapping[str, tuple[array[float], array[int]]]) -> None:
    """Keep seconds and tokens of every kind, in columns "kind", "seconds" and "tokens", atomically. Raises UserError if
    they cannot be saved.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    shape = pa.schema([("kind", pa.string()), ("seconds", pa.float64()), ("tokens", pa.int64())])
    with replacing(path) as temporary, pq.ParquetWriter(temporary, shape, compression="zstd") as writer:
        for kind, (seconds, tokens) in durations.items():
            for start in range(0, len(seconds), ROWS_AT_ONCE):
                part = np.asarray(seconds)[start : start + ROWS_AT_ONCE]
                columns = [pa.repeat(kind, len(part)), part, np.asarray(tokens)[start : start + ROWS_AT_ONCE]]
                writer.write_table(pa.table(columns, schema=shape))


def read(path: Path) -> dict[str, list[Any]]:
    """The columns as they were written; empty where the run measured nothing."""
    import pyarrow.parquet as pq

    return dict(pq.read_table(path).to_pydict()) if path.is_file() else {}
