"""Samples of a run as a table that other programs open: CSV, JSON lines, Parquet, Excel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.api.run import Run
from evalkit.contract.errors import MissingExtra, UserError
from evalkit.runner.prompts import prompts
from evalkit.spec import config
from evalkit.store.files import replacing
from evalkit.text.escape import no_formula

if TYPE_CHECKING:
    import pandas as pd

FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".parquet": "parquet", ".xlsx": "xlsx"}
CELL = 32_000
"""Characters of an Excel cell, which holds 32,767; longer texts are cut there and counted."""


def export_samples(run: Run, task: str, to: Path) -> tuple[int, int]:
    """Write one row a document of ``task`` (or of a group's tasks) to ``to``, whose suffix says the format: documents,
    prompts, replies, targets and scores as in the run; lists and objects as JSON. In CSV and Excel no cell begins a
    formula. Returns the number of rows, and of texts that were cut. Raises UserError for another suffix and for a place
    that cannot be written.
    """
    kind = FORMATS.get(to.suffix.lower())
    if kind is None:
        raise UserError(f"{to}: the name says the format: {', '.join(FORMATS)}")
    frame = _flat(run.samples(task))
    cut = 0
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        if kind == "jsonl":
            frame.to_json(to, orient="records", lines=True, force_ascii=False)
        elif kind == "parquet":
            frame.to_parquet(to, index=False)
        elif kind == "csv":
            frame.map(_guarded).to_csv(to, index=False)
        else:
            cut = int(frame.map(lambda one: isinstance(one, str) and len(one) > CELL).to_numpy().sum())
            frame.map(lambda one: _guarded(one[:CELL] if isinstance(one, str) else one)).to_excel(to, index=False)
    except ImportError as error:
        raise MissingExtra("writing Excel files", "openpyxl", "excel") from error
    except OSError as error:
        raise UserError(f"{to}: cannot be written: {error.strerror or error}") from error
    return len(frame), cut


def export_prompts(settings: Mapping[str, Any], to: Path) -> tuple[int, int]:
    """Write what a run of these settings would ask, a JSON line a document (`evalkit.runner.prompts`). Returns the
    number of lines and of tasks. Raises UserError as the run would, and for a place that cannot be written.
    """
    (spec,) = config.expand(*config.merge({}, settings, config.Origin()))
    rows = prompts(spec)
    count, tasks = 0, set()
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with replacing(to) as temporary, temporary.open("w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
                count += 1
                tasks.add(row["task"])
    except OSError as error:
        raise UserError(f"{to}: cannot be written: {error.strerror or error}") from error
    return count, len(tasks)


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """The reply as a column of its own, everything that is no single value as JSON."""
    found = frame.copy()
    if "responses" in found:
        found.insert(list(found.columns).index("responses"), "reply", [_reply(one) for one in found["responses"]])
    return found.map(_plain)


def _reply(responses: Any) -> str | None:
    texts = [one.get("text") for one in responses if isinstance(one, dict) and one.get("text") is not None]
    return texts[0] if len(texts) == 1 else json.dumps(texts, ensure_ascii=False) if texts else None


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list | tuple) else value


def _guarded(value: Any) -> Any:
    return no_formula(value) if isinstance(value, str) else value
