"""`evalkit data pull`: a mirror for machines without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.spec.values import words

if TYPE_CHECKING:
    from evalkit.data.fetch import Pulled

app = typer.Typer(help="Data sets for machines without a network.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Data sets for machines without a network."""


@app.command("pull")
def pull(
    tasks: Annotated[str, typer.Argument(metavar="TASKS", help="Tasks, groups or patterns, separated by commas.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="The mirror's folder.")],
    include_path: Annotated[list[Path] | None, typer.Option("--include-path", help="More task definitions.")] = None,
) -> None:
    """Fetch the data sets of tasks at their pinned revisions; then run with --data-dir DIR anywhere."""
    from evalkit.api.fetching import pull_data

    def tell(file: Pulled, kept: bool) -> None:
        typer.echo(f"{'kept' if kept else 'wrote'} {file.path} ({file.rows:,} rows)")

    files = pull_data(words(tasks), to, include_path=include_path or (), tell=tell)
    typer.echo(f"{len(files)} files in {to}; use them with: evalkit run --tasks {tasks} --data-dir {to}")
