"""A run as a piece of HTML for a notebook's output: the summary table, without scripts; every text is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.contract.types import RunResult
from evalkit.render.templates import environment
from evalkit.render.terminal import number, warnings
from evalkit.store.paths import share


def run_html(result: RunResult, rows: Sequence[Mapping[str, Any]], path: str) -> str:
    """The run's table from its rows (`evalkit.api.run.Run.rows`), what must be known beside it, and where it lies."""
    return (
        environment(share("reports"))
        .get_template("notebook.html.j2")
        .render(
            model=result.model.get("name") or "",
            partial=result.partial,
            rows=[_cells(row) for row in rows],
            warnings=warnings(result),
            path=path,
        )
    )


def _cells(row: Mapping[str, Any]) -> dict[str, Any]:
    interval = "–" if row["ci_low"] is None else f"{number(row['ci_low'])} – {number(row['ci_high'])}"
    return {
        "task": row["task"] + ("@bundled" if row.get("sample") else ""),
        "metric": row["metric"],
        "filter": row["filter"],
        "arrow": "↑" if row["higher_is_better"] else "↓",
        "shots": row.get("num_fewshot", row["level"]),
        "value": number(row["value"]),
        "stderr": number(row["stderr"]),
        "interval": interval,
        "n": f"{row['n']:,}",
        "primary": row["primary"],
    }
