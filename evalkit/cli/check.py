"""`evalkit check`: a model against a baseline, until the verdict is shown."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from evalkit.analysis.policy import load_policy
from evalkit.cli import options
from evalkit.cli.gate import AllowMismatch, Junit, Markdown, PolicyFile, write_verdict
from evalkit.cli.output import console
from evalkit.cli.session import INTERRUPTED, Screen
from evalkit.runner.interruption import as_interrupts
from evalkit.spec.option import OUTPUT
from evalkit.spec.table import SETTINGS

EPILOG = "What the baseline was asked is asked again; --limit is the most items a task. Docs: docs/ci.md"
LEFT_OUT = ("limit_random", "samples", "predict_only")


@options.takes(*(key for key in SETTINGS if key not in LEFT_OUT))
def check(
    settings: options.Given,
    baseline: Annotated[Path, typer.Option("--baseline", help="A run directory, or a file of evalkit baseline save.")],
    policy: PolicyFile = None,
    looks: Annotated[
        int, typer.Option("--looks", min=1, help="Looks at the answers, evenly up to the most items.")
    ] = 20,
    allow_mismatch: AllowMismatch = False,
    junit: Junit = None,
    markdown: Markdown = None,
    as_json: Annotated[bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Verdict as JSON on stdout.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", rich_help_panel=OUTPUT, help="No plan and no progress.")
    ] = False,
) -> None:
    """Evaluate a model against a baseline, and stop as soon as a pass or a regression is shown.

    Exit codes as evalkit gate. The same command again goes on with a check that was killed.

    evalkit check --baseline baseline.json --model ./new
    """
    from evalkit.api.checking import until_decided
    from evalkit.render.verdict import print_gate

    screen = Screen(quiet=quiet, as_json=as_json)
    with as_interrupts():
        try:
            done = until_decided(
                baseline, settings, load_policy(policy), screen, looks=looks, allow_mismatch=allow_mismatch
            )
        except KeyboardInterrupt:
            screen.note("stopped; what was answered is kept: the same command with the same --output goes on")
            raise typer.Exit(INTERRUPTED) from None
    if done.interrupted or done.gate is None:
        screen.note(f"stopped; the same command with --output {done.run} goes on")
        raise typer.Exit(INTERRUPTED)
    write_verdict(done.gate, junit, markdown)
    if as_json:
        record = asdict(done) | {"run": str(done.run), "saved": done.saved, "exit_code": done.gate.exit_code}
        typer.echo(json.dumps(record, ensure_ascii=False, indent=2))
    else:
        print_gate(done.gate, console())
        typer.echo(str(done))
        typer.echo(f"run: {done.run}")
    raise typer.Exit(done.gate.exit_code)
