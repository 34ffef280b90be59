"""`evalkit retry`: ask again for the items that failed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli import session


def retry(
    run_dir: Annotated[Path, typer.Argument(help="A run directory.")],
    allow_code_execution: Annotated[
        bool, typer.Option("--allow-code-execution", help="Run the programs that a model wrote, in a sandbox.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Results as JSON on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No plan and no progress.")] = False,
) -> None:
    """Run only the failed items of a run again, and write its results anew."""

    flags = {"allow_code_execution": True} if allow_code_execution else {}
    raise typer.Exit(session.run(session.Asked(flags, None, run_dir), as_json=as_json, quiet=quiet))
