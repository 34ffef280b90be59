"""`evalkit rescore`: a run's stored answers, scored again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli import options
from evalkit.cli.session import Screen
from evalkit.contract.errors import UserError

SETTINGS = ("metrics", "allow_code_execution", "include_path", "data_dir", "output", "log_samples", "log_to")


@options.takes(*SETTINGS)
def rescore(
    run: Annotated[Path, typer.Argument(help="A run directory; it stays as it is.")],
    settings: options.Given,
    instead: Annotated[
        list[str] | None,
        typer.Option("--as", metavar="OLD=NEW", help="Score the answers to task OLD as task NEW does (repeatable)."),
    ] = None,
    all_metrics: Annotated[bool, typer.Option("--all-metrics", help="The table with all metrics.")] = False,
) -> None:
    """Score a run's stored answers again, with today's task files, filters and metrics. No model is asked.

    evalkit rescore runs/mine --metrics ece --output runs/mine-again

    evalkit rescore runs/mine --as gsm8k=my_gsm8k --include-path my_tasks
    """
    from evalkit.api.rescoring import rescored

    pairs = {}
    for text in instead or []:
        old, equals, new = text.partition("=")
        if not (old and equals and new):
            raise UserError(f"--as {text}: write OLD=NEW, the run's task and the one that scores its answers")
        pairs[old] = new
    screen = Screen(quiet=True, as_json=False, every=all_metrics)
    screen.finish(rescored(run, settings, pairs, screen.note))
