"""`evalkit study adaptation|cascade|cache|lorahub`: experiments of several runs, from one configuration."""

from __future__ import annotations

import typer

from evalkit.cli.adapting import adaptation, lorahub
from evalkit.cli.studying import cache, cascade

app = typer.Typer(help="Experiments of several runs, from one configuration.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Experiments of several runs, from one configuration."""


app.command("adaptation")(adaptation)
app.command("cascade")(cascade)
app.command("cache")(cache)
app.command("lorahub")(lorahub)
