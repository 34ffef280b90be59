"""`evalkit peft compose`: weights for several LoRAs from a few examples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.backends.hf.compose import compose as search
from evalkit.backends.hf.compose import read_examples
from evalkit.cli.options import Given, model_spec, takes

app = typer.Typer(help="Adapters.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Adapters."""


@app.command("compose")
@takes("model", "peft", "dtype", "device", required=("peft",))
def compose(
    settings: Given,
    examples: Annotated[Path, typer.Option("--examples", help='JSONL: {"prompt": ..., "completion": ...} a line.')],
    steps: Annotated[int, typer.Option("--steps", min=1, help="Evaluations of the search.")] = 40,
    penalty: Annotated[float, typer.Option("--penalty", min=0, help="On the mean absolute weight.")] = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON on stdout.")] = False,
) -> None:
    """Find the weights of two or more LoRAs by gradient-free search (LoraHub, arXiv 2307.13269) and print the --peft
    that uses them.

    Use examples that you do not evaluate on.
    """
    import json
    from dataclasses import asdict

    spec = model_spec(settings)
    found = search(spec, read_examples(examples), steps, penalty, lambda text: typer.echo(f"evalkit: {text}", err=True))
    if as_json:
        typer.echo(json.dumps({**asdict(found), "peft": found.flag}, indent=2))
        return
    singles = ", ".join(f"{value:.4f}" for value in found.single_losses)
    typer.echo(f"loss {found.loss:.4f} nats a token (base {found.base_loss:.4f}; each alone {singles})")
    typer.echo(f"evalkit run --model {spec.name} --peft {found.flag} --tasks ...")
