"""`evalkit plan`: what the gate will say, before any item is asked about."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli.gate import PolicyFile
from evalkit.cli.output import console


def plan(
    baseline: Annotated[
        Path, typer.Option("--baseline", "-b", help="A run directory, or a file of evalkit baseline save.")
    ],
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="Earlier runs on the same items: what changes between equal models is seen in them."),
    ] = None,
    flips: Annotated[
        float | None,
        typer.Option("--flips", min=0.0, max=1.0, help="Without runs: share of items that change. (default: 0.05)"),
    ] = None,
    policy: PolicyFile = None,
    loss: Annotated[
        float | None,
        typer.Option("--loss", min=0.0, help="One more true loss to look at, in the metric's unit (0.03: 3 points)."),
    ] = None,
    limit: Annotated[
        float | None,
        typer.Option("--limit", "-L", min=0.0, help="Items a task (below 1: a share of them), if not the baseline's."),
    ] = None,
    draws: Annotated[int, typer.Option("--draws", min=50, help="Candidates to draw.")] = 400,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the draws.")] = 1234,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of the table.")] = False,
) -> None:
    """How likely the gate is to pass, fail or not tell, before an item is asked about, and the items it needs.

    evalkit plan --baseline baseline.json --flips 0.05
    """
    import json
    from dataclasses import asdict

    from evalkit.api.comparing import plan as made
    from evalkit.render.plan import print_plan

    found = made(baseline, *(runs or ()), policy=policy, flips=flips, loss=loss, limit=limit, draws=draws, seed=seed)
    if as_json:
        typer.echo(json.dumps(asdict(found), ensure_ascii=False, indent=2))
    else:
        print_plan(found, console())
