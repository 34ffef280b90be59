"""`evalkit gate`: a pass or fail for CI."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.output import console
from evalkit.contract.errors import UserError

if TYPE_CHECKING:
    from evalkit.analysis.gate import GateResult


PolicyFile = Annotated[Path | None, typer.Option("--policy", "-p", help="What must be kept (gate.yaml).")]
AllowMismatch = Annotated[
    bool, typer.Option("--allow-mismatch", help="Compare although prompts, versions or shots differ.")
]
Junit = Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML to this file.")]
Markdown = Annotated[Path | None, typer.Option("--markdown", help="Write Markdown to this file.")]


def gate(
    baseline: Annotated[Path, typer.Option("--baseline", help="A run directory, or a file of evalkit baseline save.")],
    candidate: Annotated[Path, typer.Option("--candidate", help="The run directory to judge.")],
    policy: PolicyFile = None,
    allow_mismatch: AllowMismatch = False,
    junit: Junit = None,
    markdown: Markdown = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of the table.")] = False,
) -> None:
    """Judge a candidate against a baseline. Exit codes: 0 pass, 1 regression, 2 usage, 3 too few items to tell.

    In GitHub Actions the verdict is also appended to the job's summary.
    """
    import json
    from dataclasses import asdict

    from evalkit.api import comparing
    from evalkit.render.verdict import print_gate

    result = comparing.gate(baseline, candidate, policy, allow_mismatch=allow_mismatch)
    write_verdict(result, junit, markdown)
    if as_json:
        typer.echo(json.dumps(asdict(result) | {"exit_code": result.exit_code}, ensure_ascii=False, indent=2))
    else:
        print_gate(result, console())
    raise typer.Exit(result.exit_code)


def write_verdict(result: GateResult, junit: Path | None, markdown: Path | None) -> None:
    """The verdict as the files that were asked for, and in the summary of a job on GitHub."""
    from evalkit.render.verdict import append_summary, gate_junit, gate_markdown

    _write(junit, lambda: gate_junit(result))
    _write(markdown, lambda: gate_markdown(result))
    append_summary(gate_markdown(result))


def _write(path: Path | None, text: Callable[[], str]) -> None:

    if path is None:
        return
    try:
        path.write_text(text(), "utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"gate: cannot write {path}: {error.strerror}") from None
