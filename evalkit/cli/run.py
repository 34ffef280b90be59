"""`evalkit run`: flags and a YAML file become RunSpecs; each is carried out in turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from evalkit.cli import options, session
from evalkit.contract.errors import UserError
from evalkit.spec.naming import task_name
from evalkit.spec.option import OUTPUT, SPEED
from evalkit.spec.table import SETTINGS
from evalkit.spec.values import words

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
OWN = "Your own data"
Data = Annotated[
    list[Path] | None,
    typer.Option("--data", metavar="FILE", rich_help_panel=OWN, help="Rows: .jsonl, .csv, .json, .parquet, ..."),
]
Prompt = Annotated[
    str | None,
    typer.Option("--prompt", metavar="TEMPLATE", rich_help_panel=OWN, help="Over the columns: 'Q: {{question}}\\nA:'."),
]
Target = Annotated[
    str | None,
    typer.Option("--target", metavar="TEMPLATE", rich_help_panel=OWN, help="The right answer: '{{answer}}'."),
]
Choices = Annotated[
    str | None,
    typer.Option(
        "--choices", metavar="A,B|TEMPLATE", rich_help_panel=OWN, help="Multiple choice: 'yes,no', or '{{options}}'."
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", rich_help_panel=OUTPUT, help="Show the plan and what a paid model may cost."),
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
    dry_run: DryRun = False,
    data: Data = None,
    prompt: Prompt = None,
    target: Target = None,
    choices: Choices = None,
    max_batch_size: MaxBatchSize = None,
) -> None:
    """Evaluate a model on tasks; write results, samples and a report.

    evalkit run --model smollm2-135m --tasks mmlu,hellaswag --bundled

    evalkit run --model smollm2-135m --data qa.jsonl --prompt 'Q: {{question}}\\nA:' --target '{{answer}}'
    """
    if max_batch_size is not None:
        typer.echo("evalkit: note: --max-batch-size is ignored: batches are planned by memory (--max-memory)", err=True)
    settings = _with_data(settings, data or [], {"prompt": prompt, "target": target, "choices": choices})
    raise typer.Exit(
        session.run(
            session.Asked(settings, config, resume), as_json=as_json, quiet=quiet, every=all_metrics, dry=dry_run
        )
    )


def _with_data(settings: dict[str, Any], files: Sequence[Path], own: Mapping[str, str | None]) -> dict[str, Any]:
    """The settings with a task for each file; the shell leaves "\\n" in a template as two characters."""
    given = {key: value.replace("\\n", "\n") for key, value in own.items() if value is not None}
    if not files:
        if given:
            raise UserError(f"--{next(iter(given))}: is for a file of your own: give --data FILE as well")
        return settings
    tasks = [{"name": task_name(file), "data": file, **given} for file in files]
    return {**settings, "tasks": [*words(settings.get("tasks") or ""), *tasks]}
