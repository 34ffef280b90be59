"""`evalkit log`: a finished run's numbers to where people keep theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def log(
    runs: Annotated[list[Path], typer.Argument(help="Run directories.")],
    to: Annotated[
        list[str],
        typer.Option(
            "--to",
            metavar="PLACE[:WHERE]",
            help="wandb:PROJECT, mlflow:URI, trackio:PROJECT, tensorboard:FOLDER, csv:FILE, hub:ORG/NAME "
            "(may be repeated).",
        ),
    ],
    samples: Annotated[
        bool, typer.Option("--samples", help="The samples as tables too, where the place has some.")
    ] = False,
) -> None:
    """Send finished runs to experiment trackers and files. A run that is sent again is updated there.

    evalkit log runs/mine --to mlflow:sqlite:///mlflow.db --to csv:all.csv
    """
    from evalkit.api.logging import log_run
    from evalkit.cli.session import FAILED

    notes: list[str] = []
    failed = 0
    for run in runs:
        failed += log_run(run, to, samples, notes.append)
        while notes:
            typer.echo(f"evalkit: {notes.pop(0)}", err=True)
    if failed:
        raise typer.Exit(FAILED)
