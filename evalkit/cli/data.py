"""`evalkit data pull|check`: a mirror for machines without a network; whether items are clean, and unseen."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.options import Given, takes
from evalkit.cli.output import console
from evalkit.render.terminal import plain, rows_table
from evalkit.spec.values import words
from evalkit.store.files import write_json

if TYPE_CHECKING:
    from evalkit.data.fetch import Pulled

app = typer.Typer(help="Data sets: fetched for machines without a network, and checked.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Data sets: fetched for machines without a network, and checked."""


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


@app.command("check")
@takes("tasks", "limit", "data_dir", "bundled", "include_path", "seed", "model", "dtype", "device", required=("tasks",))
def check(
    settings: Given,
    corpus: Annotated[
        Path | None, typer.Option("--corpus", metavar="DIR", help="Texts that a model may have been trained on.")
    ] = None,
    unseen: Annotated[
        Path | None, typer.Option("--unseen", metavar="FILE", help="Texts that --model cannot have seen, to compare.")
    ] = None,
    fail_above: Annotated[
        float | None,
        typer.Option("--fail-above", metavar="SHARE", min=0, max=1, help="Exit code 1 if more of a task's items."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Everything that was found, as JSON.")
    ] = None,
) -> None:
    """Look for a task's items in a text folder (n-grams), in a model's own probabilities (min-k%), among each other,
    and among those that few-shot examples are drawn from (near-duplicates, ROUGE-L).

    evalkit data check --tasks mmlu,hellaswag --corpus texts/

    evalkit data check --tasks mmlu --model smollm2-135m --unseen new.jsonl
    """
    from evalkit.api.data_checking import check_data
    from evalkit.render import contamination

    found = check_data(settings, corpus, unseen, lambda text: typer.echo(f"evalkit: {text}", err=True))
    out = console()
    out.print(rows_table(contamination.columns(found), contamination.rows(found)))
    if rows := contamination.membership_rows(found):
        out.print(rows_table(contamination.MEMBERSHIP, rows))
    for line in contamination.lines(found):
        out.print(plain(line), soft_wrap=True)
    if output is not None:
        write_json(output, [asdict(one) for one in found])
    if fail_above is not None and (over := [one.name for one in found if one.worst > fail_above]):
        typer.echo(f"evalkit: above --fail-above {fail_above:g}: {', '.join(over)}", err=True)
        raise typer.Exit(1)
