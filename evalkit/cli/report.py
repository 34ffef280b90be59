"""`evalkit report`: run directories as one HTML page, or as Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[list[Path], typer.Argument(help="One or more run directories; several are shown side by side.")],
    out: Annotated[
        Path, typer.Option("--output", "--out", "-o", help="The file to write; a name that ends in .md gives Markdown.")
    ] = Path("report.html"),
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Write Markdown to this file too.")] = None,
    interactive: Annotated[
        Path | None,
        typer.Option("--interactive", help="Write plots to zoom, point at and save to this file too (HTML, 5 MB)."),
    ] = None,
) -> None:
    """Write one self-contained report of one or several runs."""
    from evalkit.api.reporting import report as write
    from evalkit.render.report import write_markdown

    typer.echo(write(runs, out))
    if markdown is not None:
        typer.echo(write_markdown(runs, markdown))
    if interactive is not None:
        from evalkit.render.interactive import write_interactive

        typer.echo(write_interactive(runs, interactive))
