"""`evalkit samples export`: a run's samples as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.contract.errors import UserError

app = typer.Typer(help="What a run asked and what was answered, for other programs.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """What a run asked and what was answered, for other programs."""


@app.command("export")
def export(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file: .csv, .jsonl, .parquet or .xlsx. [default: TASK.csv]"),
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", "-t", help="A task or group; the run's only one if left out.")
    ] = None,
) -> None:
    """Write one row a document: document, prompt, reply, target, scores."""
    from evalkit.api.exporting import export_samples
    from evalkit.api.run import load_run

    found = load_run(run)
    if task is None:
        if len(found.tasks) != 1:
            known = ", ".join((*found.groups, *found.tasks)[:8])
            raise UserError(f"{run}: it has {len(found.tasks)} tasks: say which with --task ({known}, ...)")
        (task,) = found.tasks
    to = output or Path(f"{task.replace(':', '-').replace('/', '-')}.csv")
    rows, cut = export_samples(found, task, to)
    typer.echo(f"{rows:,} rows in {to}" + (f"; {cut:,} texts are cut, an Excel cell holds no more" if cut else ""))
