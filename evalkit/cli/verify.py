"""`evalkit verify`: is a run directory whole?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def verify(run_dir: Annotated[Path, typer.Argument(help="A run directory.")]) -> None:
    """Check a run directory's files against each other; exit code 1 if something is wrong."""
    from evalkit.store import verify as check

    problems = check(run_dir)
    for problem in problems:
        typer.echo(problem)
    if problems:
        raise typer.Exit(1)
    typer.echo(f"{run_dir}: sound")
