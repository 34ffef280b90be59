"""`evalkit models list`."""

from __future__ import annotations

from typing import Annotated

import typer

from evalkit.cli.output import console
from evalkit.render.terminal import rows_table

app = typer.Typer(help="Models that have a name of their own.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Models that have a name of their own; a Hub id, a folder or a .gguf file needs none."""


@app.command("list")
def list_models(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Models with a name of their own, and the backends that are installed."""
    import json

    from evalkit.api.listing import model_rows

    found = model_rows()
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return

    columns = ("name", "backend", "ready", "description")
    console().print(rows_table(columns, [[row[column] for column in columns] for row in found["models"]]))
    columns = ("name", "provider", "variable", "key")
    rows = [[row[column] for column in columns] for row in found["providers"]]
    console().print(rows_table(("hosted model", "provider", "key's variable", "key"), rows))
    typer.echo(f"default: {found['default']}; backends: {', '.join(found['backends'])}")
    typer.echo("--model also takes a Hub id (org/name), a folder, a .gguf file, a server's URL, or predictions:FILE")
