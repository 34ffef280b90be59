"""`evalkit verify`: is a run directory whole?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SHOWN = 8


def verify(run_dir: Annotated[Path, typer.Argument(help="A run directory.")]) -> None:
    """Check a run directory's files against each other; exit code 1 if something is wrong."""
    from evalkit.store.verify import not_recomputed
    from evalkit.store.verify import verify as check

    problems = check(run_dir)
    for problem in problems:
        typer.echo(problem)
    if problems:
        raise typer.Exit(1)
    typer.echo(f"{run_dir}: sound")
    if left := not_recomputed(run_dir):
        more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
        typer.echo(f"not recomputed, for they are no means of items: {', '.join(left[:SHOWN])}{more}", err=True)
