"""`evalkit run`: flags and a YAML file become RunSpecs; each is carried out in turn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli import options, session
from evalkit.spec.option import OUTPUT, SPEED
from evalkit.spec.table import SETTINGS

EPILOG = "lm_eval's spellings (--model_args, --num_fewshot, --output_path, ...) mean the same. Docs: docs/run.md"

Resume = Annotated[
    Path | None,
    typer.Option("--resume", metavar="RUN_DIR", rich_help_panel=OUTPUT, help="Continue an interrupted run."),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-C",
        rich_help_panel=OUTPUT,
        help="YAML file with these settings, or a matrix of models and tasks.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Results as JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", rich_help_panel=OUTPUT, help="No plan and no progress.")]
AllMetrics = Annotated[
    bool, typer.Option("--all-metrics", rich_help_panel=OUTPUT, help="The table with all metrics of all tasks.")
]
MaxBatchSize = Annotated[str | None, typer.Option("--max-batch-size", rich_help_panel=SPEED, hidden=True)]


@options.takes(*SETTINGS)
def run(
    settings: options.Given,
    resume: Resume = None,
    config: Config = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    all_metrics: AllMetrics = False,
    max_batch_size: MaxBatchSize = None,
) -> None:
    """Evaluate a model on tasks; write results, samples and a report.

    evalkit run --model smollm2-135m --tasks mmlu,hellaswag --bundled
    """
    if max_batch_size is not None:
        typer.echo("evalkit: note: --max-batch-size is ignored: batches are planned by memory (--max-memory)", err=True)
    raise typer.Exit(
        session.run(session.Asked(settings, config, resume), as_json=as_json, quiet=quiet, every=all_metrics)
    )
