"""`evalkit compare`: paired statistics of two or more runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli.output import console
from evalkit.contract.errors import UserError


def compare(
    base: Annotated[Path, typer.Argument(help="The run to compare with: a run directory or a saved baseline.")],
    candidates: Annotated[list[Path], typer.Argument(help="One or more runs to compare.")],
    allow_mismatch: Annotated[
        bool, typer.Option("--allow-mismatch", help="Compare although prompts, versions or shots differ.")
    ] = False,
    cluster_by: Annotated[
        str | None,
        typer.Option(
            "--cluster-by", help="Document field that items share; none: independent. [default: found by itself]"
        ),
    ] = None,
    alpha: Annotated[float, typer.Option("--alpha", help="Level of the tests and intervals.")] = 0.05,
    flips: Annotated[int, typer.Option("--flips", min=0, help="Flipped items to list per task and direction.")] = 0,
    all_metrics: Annotated[
        bool, typer.Option("--all-metrics", help="Show secondary metrics too, not only each task's primary one.")
    ] = False,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Write Markdown to this file too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Compare runs on the same items: paired differences, intervals, tests, flipped items."""
    import json

    from evalkit.analysis.compare import as_json as plain
    from evalkit.api import comparing
    from evalkit.render.comparison import comparison_markdown, print_comparison

    found = comparing.compare(
        base,
        *candidates,
        allow_mismatch=allow_mismatch,
        cluster_by=cluster_by,
        alpha=alpha,
    )
    if markdown is not None:
        try:
            markdown.write_text(comparison_markdown(found, flips or 5), "utf-8", errors="replace")
        except OSError as error:
            raise UserError(f"compare: cannot write {markdown}: {error.strerror}") from None
    if as_json:
        typer.echo(json.dumps(plain(found), ensure_ascii=False, indent=2))
    else:
        print_comparison(found, console(), flips, all_metrics)
