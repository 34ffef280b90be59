"""`evalkit view`: a local page over a folder of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.api import viewing


def view(
    folder: Annotated[Path, typer.Argument(help="The folder that holds the runs, at any of four depths.")] = Path(
        "runs"
    ),
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="0: any free port.")] = viewing.PORT,
    open_browser: Annotated[
        bool | None,
        typer.Option("--open/--no-open", help="Open a browser. [default: where there is a display]"),
    ] = None,
) -> None:
    """Show a folder of runs in the browser, live, on this machine alone; Ctrl-C ends it."""
    viewing.view(folder, port=port, open_browser=open_browser, tell=typer.echo)
