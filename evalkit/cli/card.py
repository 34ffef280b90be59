"""`evalkit card`: a run's results as a model card has them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def card(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
    into: Annotated[
        Path | None, typer.Option("--into", metavar="README.md", help="Write them into this card, the rest kept.")
    ] = None,
    all_metrics: Annotated[bool, typer.Option("--all-metrics", help="Not the primary metrics alone.")] = False,
) -> None:
    """Print a run's results as a model card's block (model-index), or write them into a card.

    evalkit card runs/mine --into my-model/README.md
    """
    from evalkit.api.run import load_run
    from evalkit.publish import card as cards

    found = load_run(run)
    if into is None:
        typer.echo(cards.block(found, all_metrics))
        return
    typer.echo(f"{cards.into(found, into, all_metrics)} results in {into}")
