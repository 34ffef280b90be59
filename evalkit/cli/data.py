"""`evalkit data pull`: a mirror for machines without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.contract.errors import UserError
from evalkit.data import Wanted
from evalkit.data import pull as fetch
from evalkit.data.generated import is_own
from evalkit.spec.models import TaskSpec
from evalkit.spec.values import words
from evalkit.task.catalog import Catalog, parse_suffixes

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

    wanted = _wanted(tasks, include_path or [])
    files = fetch(
        wanted, to, lambda file, kept: typer.echo(f"{'kept' if kept else 'wrote'} {file.path} ({file.rows:,} rows)")
    )
    typer.echo(f"{len(files)} files in {to}; use them with: evalkit run --tasks {tasks} --data-dir {to}")


def _wanted(tasks: str, include_path: list[Path]) -> list[Wanted]:
    """Every data set that the named tasks read, with the splits they read of it."""

    catalog = Catalog.of(include_path)
    names = [name for word in words(tasks) for name in catalog.expand(parse_suffixes(TaskSpec(name=word)).name)]
    if not names:
        raise UserError("data pull: which tasks? for example: evalkit data pull mmlu,hellaswag --to DIR")
    leaves = dict.fromkeys(leaf for name in names for leaf in catalog.leaves(name))
    # What is generated is there already.
    datasets = [one for leaf in leaves if not is_own((one := catalog.tasks[leaf][0].dataset).id)]
    if leaves and not datasets:
        raise UserError(f"data pull: {tasks}: made here from a seed; there is nothing to fetch")
    return [
        Wanted(
            one.id, one.config, one.revision, tuple(filter(None, dict.fromkeys((one.splits.eval, one.splits.fewshot))))
        )
        for one in datasets
    ]
