"""The board as data: JSON, CSV and Parquet, one record a row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evalkit.leaderboard.categories import categories
from evalkit.leaderboard.rows import fact
from evalkit.leaderboard.table import Row, Table
from evalkit.store.files import clean, replacing, write_json
from evalkit.text.escape import no_formula


def records(table: Table) -> list[dict[str, Any]]:
    """Plain values: facts, score, rank, win rate, and per column value, interval, n and shots (metric's own unit)."""
    return [_record(table, row) for row in table.rows]


def _record(table: Table, row: Row) -> dict[str, Any]:
    entry, model = row.entry, row.entry.model
    record: dict[str, Any] = {
        "rank": row.rank,
        "tied": row.tied,
        "model": clean(model.name),
        "results": row.status,
        "score": row.score,
        "score_stderr": row.error or None,
        "mean_win_rate": row.win_rate,
        **{name: fact(entry, name) or None for name in ("type", "precision", "quantization", "adapters", "backend")},
        "parameters": model.parameters,
        "hardware": entry.hardware or None,
        "date": entry.date or None,
        "source": entry.source or None,
        "differences": "; ".join(
            f"{column.title}: {told}"
            for column, told in zip(table.board.columns, row.differences or ("",) * len(row.cells), strict=True)
            if told
        )
        or None,
        "entry": entry.id,
    }
    for column, cell in zip(table.board.columns, row.cells, strict=True):
        low, high = cell.interval if cell and cell.interval else (None, None)
        record |= {
            column.title: cell.value if cell else None,
            f"{column.title} low": low,
            f"{column.title} high": high,
            f"{column.title} n": cell.n or None if cell else None,
        }
    return record


def write_exports(table: Table, folder: Path) -> None:
    """board.json, board.csv and board.parquet. Raises UserError if one cannot be written."""
    import pandas as pd

    found = records(table)
    board = table.board
    groups = [
        {
            "title": one.title,
            "unit": one.unit,
            "columns": one.columns,
            "means": dict(one.means),
            "best": list(one.marks),
        }
        for one in categories(table)
    ]
    content = {"board": board.model_dump(mode="json"), "rows": found, **({"categories": groups} if groups else {})}
    write_json(folder / "board.json", content)
    frame = pd.DataFrame(found)
    numeric = {"parameters", "score", "score_stderr", "mean_win_rate"}
    for name in frame.columns:
        if name in numeric or any(name == c.title or name.startswith(f"{c.title} ") for c in board.columns):
            frame[name] = pd.to_numeric(frame[name])
    frame["rank"] = frame["rank"].astype("Int64") if "rank" in frame else None
    with replacing(folder / "board.parquet") as draft:
        frame.to_parquet(draft, compression="zstd")
    with replacing(folder / "board.csv") as draft:
        frame.map(no_formula).rename(columns=no_formula).to_csv(draft, index=False, lineterminator="\n")
