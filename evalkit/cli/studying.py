"""`evalkit study cascade|cache`: what a budget buys with several models, and what a semantic cache saves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli.options import Given, takes
from evalkit.cli.output import console
from evalkit.cli.session import INTERRUPTED, Screen
from evalkit.render.terminal import plain, rows_table
from evalkit.runner.interruption import as_interrupts

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file: models, tasks and what to study.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No plans and no progress.")]


@takes("limit", "data_dir", "output")
def cascade(settings: Given, config: Config, quiet: Quiet = False) -> None:
    """Train a scorer for each model, choose orders and thresholds for a budget, and report accuracy against cost on
    other items (FrugalGPT, arXiv 2305.05176).

    evalkit study cascade examples/cascade.yaml --output runs/cascade
    """
    from evalkit.api.studying import cascade as carried_out
    from evalkit.render import routing

    screen = Screen(quiet=quiet, as_json=False)
    with as_interrupts():
        try:
            done = carried_out(config, settings, screen)
        except KeyboardInterrupt:
            screen.note("stopped; what was answered is kept: give the same command again to go on")
            raise typer.Exit(INTERRUPTED) from None
        finally:
            screen.ready()
    out = console()
    for table in (routing.alone_table(done.study), routing.points_table(done.study), routing.scorer_table(done.study)):
        out.print(rows_table(table.columns, table.rows))
    for line in routing.summary(done.study):
        out.print(plain(line), soft_wrap=True)
    for file in done.configurations:
        out.print(plain(f"run it: evalkit run --config {file}"), soft_wrap=True)
    out.print(plain(f"report:  {done.report}"), soft_wrap=True)


@takes("model", "data_dir", "output")
def cache(settings: Given, config: Config) -> None:
    """What a semantic cache before a model saves, and how often it answers another question: hit rate, false hits and
    latency on labelled pairs of questions.

    evalkit study cache examples/semantic_cache.yaml --output runs/semantic-cache
    """
    from evalkit.api.caching import cache as carried_out
    from evalkit.render import caching

    done = carried_out(config, settings, lambda text: typer.echo(f"evalkit: {text}", err=True))
    out = console()
    table = caching.table(done.study)
    out.print(rows_table(table.columns, table.rows))
    for line in caching.summary(done.study, done.latencies.model, done.latencies.cache, done.model, done.embedder):
        out.print(plain(line), soft_wrap=True)
    out.print(plain(f"report:  {done.report}"), soft_wrap=True)
