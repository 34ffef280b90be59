"""`evalkit baseline save|show`: a small file that stands for a run in later comparisons."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli.output import console
from evalkit.contract.errors import UserError

BRIEF_DRAWS, FEWER_DRAWS, MANY_TASKS = 100, 40, 10
"""Candidates that are drawn for the line about the gate, fewer where there are many tasks: saving takes seconds."""

app = typer.Typer(help="Small files that stand for a run in paired tests.", no_args_is_help=True)


@app.command("save")
def save(
    run: Annotated[Path, typer.Argument(help="A finished run directory.")],
    out: Annotated[Path, typer.Option("--output", "--out", "-o", help="The file to write.")] = Path("baseline.json"),
    cluster_by: Annotated[
        str | None, typer.Option("--cluster-by", help="Document field that items share; none: independent.")
    ] = None,
    no_performance: Annotated[
        bool, typer.Option("--no-performance", help="Leave out the hardware and its performance counters.")
    ] = False,
) -> None:
    """Write a run's per-item scores without any text, small enough to commit."""
    from evalkit.api.comparing import load_baseline, plan
    from evalkit.api.comparing import save as save_baseline
    from evalkit.render.plan import plan_line

    typer.echo(save_baseline(run, out, cluster_by=cluster_by, performance=not no_performance))
    try:
        draws = FEWER_DRAWS if len(load_baseline(out).scores.tasks) > MANY_TASKS else BRIEF_DRAWS
        typer.echo(plan_line(plan(out, draws=draws, brief=True)), err=True)
    except UserError as error:
        typer.echo(f"no plan of the gate: {error}", err=True)


@app.command("show")
def show(file: Annotated[Path, typer.Argument(help="A baseline file.")]) -> None:
    """What a baseline holds."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from evalkit.analysis.baseline import read_baseline

    if not file.is_file():
        raise UserError(f"{file}: no such file: write one with: evalkit baseline save RUN --out {file}")
    scores = read_baseline(file)
    table = Table(title=Text(scores.label), box=SIMPLE_HEAD, title_justify="left")
    for name in ("Task", "Version", "Shots", "Metric", "Value", "Items", "Errors"):
        table.add_column(name, justify="left" if name in ("Task", "Metric") else "right")
    for task in scores.tasks.values():
        for key, value in task.published.items():
            text = "–" if value is None else f"{value:.4f}"
            row = (task.name, task.version, str(task.num_fewshot), key, text, f"{task.n:,}", f"{task.n_error:,}")
            table.add_row(*(Text(cell) for cell in row))
    console().print(table)
