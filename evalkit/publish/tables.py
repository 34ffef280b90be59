"""`--log-to csv[:FILE]`: one row a metric, of many runs in one file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from evalkit.contract.errors import UserError
from evalkit.publish.figures import run_id
from evalkit.publish.sinks import Published, Sink
from evalkit.store.files import write_bytes
from evalkit.text.escape import no_formula

BESIDE = "metrics.csv"
BEFORE = ("run_id", "run", "model", "started", "git_commit", "command")


def log(run: Published, settings: Mapping[str, str], samples: bool) -> str:
    """Add the run's rows to the file (default: metrics.csv in the run's folder); those of the same run are replaced."""
    to = Path(settings["file"]) if "file" in settings else run.path / BESIDE
    environment = run.result.environment
    commit = (environment.get("git") or {}).get("commit")
    place = run.path.resolve()
    about = (run_id(run.result), place, run.result.label, environment.get("start_time"), commit)
    head = dict(zip(BEFORE, (*about, environment.get("command")), strict=True))
    new = [{key: no_formula(_text(value)) for key, value in (head | row).items()} for row in run.rows()]
    columns, kept = _read(to)
    kept = [row for row in kept if row.get("run_id") != head["run_id"]]
    columns = list(dict.fromkeys([*columns, *(key for row in new for key in row)]))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows([*kept, *new])
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(to, text.getvalue().encode())
    except OSError as error:
        raise UserError(f"{to}: cannot be written: {error.strerror or error}") from error
    return f"csv: {len(new)} rows in {to}"


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    if not path.is_file():
        return list(BEFORE), []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, restkey="")
            rows = [{key: value or "" for key, value in row.items() if key} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: is not a CSV file that rows can be added to ({error}): name another") from error
    columns = list(reader.fieldnames or [])
    if rows and "run_id" not in columns:
        raise UserError(f"{path}: holds another table (it has no column run_id): name another file")
    return columns, rows


def _text(value: object) -> str:
    return "" if value is None else str(value)


SINK = Sink(log, "file", frozenset({"file"}))
