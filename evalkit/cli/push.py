"""`evalkit push`: a run's files into a data set of the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def push(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
    to: Annotated[str, typer.Option("--to", metavar="ORG/NAME", help="The data set; it is made if it is not there.")],
    samples: Annotated[bool, typer.Option("--samples", help="The samples too: prompts, answers, targets.")] = False,
    private: Annotated[
        bool, typer.Option("--private/--public", help="Who may see a data set that is made now.")
    ] = True,
) -> None:
    """Write a run's results (and samples) into a data set of the Hub, in one commit.

    evalkit push runs/mine --to my-org/evals --samples
    """
    from evalkit.api.run import load_run
    from evalkit.publish.hub import push as carry_out

    typer.echo(carry_out(load_run(run), to, samples, private))
