"""`evalkit prompts export`: what a run would ask, as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli import options
from evalkit.spec.option import DOCUMENTS, TASKS
from evalkit.spec.table import of_panel

app = typer.Typer(help="What a run would ask, without asking it.", no_args_is_help=True)
MODEL = ("model", "model_args", "backend", "revision", "max_length")
LEFT_OUT = ("metrics",)


@app.callback()
def group() -> None:
    """What a run would ask, without asking it."""


@app.command("export")
@options.takes(*MODEL, *(key for key in of_panel(TASKS, DOCUMENTS) if key not in LEFT_OUT))
def export(
    settings: options.Given,
    to: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The file, JSON lines.")] = Path(
        "prompts.jsonl"
    ),
) -> None:
    """Write one line a document: task, doc_id, doc_hash, prompt, choices, target. No model is loaded, of one with
    --chat-template its tokenizer.

    evalkit prompts export --tasks boolq@bundled,gsm8k@bundled --output prompts.jsonl
    """
    from evalkit.api.exporting import export_prompts

    rows, tasks = export_prompts(settings, to)
    typer.echo(f"{rows:,} prompts of {tasks:,} {'task' if tasks == 1 else 'tasks'} in {to}")
