"""The command tree. Command modules import typer alone; what they call is imported when they run."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from evalkit.cli import (
    baseline,
    bench,
    cache,
    compare,
    data,
    estimate,
    gate,
    judge,
    leaderboard,
    models,
    peft,
    report,
    retry,
    run,
    tasks,
    verify,
    version,
)
from evalkit.contract.errors import UserError


class Commands(TyperGroup):
    """The root group: a mistake of the user becomes one line on stderr and exit code 2."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Let --debug stand anywhere on the line."""
        if "--debug" in args:
            args = ["--debug", *(arg for arg in args if arg != "--debug")]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; ``--debug`` lets the traceback through."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            if ctx.params.get("debug"):
                raise
            typer.echo(f"evalkit: error: {' '.join(str(error).split())}", err=True)
            raise typer.Exit(error.exit_code) from None


app = typer.Typer(
    name="evalkit",
    cls=Commands,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (may stand anywhere).")
    ] = False,
) -> None:
    """Evaluate and benchmark language models: lm-evaluation-harness's numbers, faster, resumable, with error bars."""


app.command("run", cls=run.RunCommand)(run.run)
app.command("retry")(retry.retry)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("gate")(gate.gate)
app.command("verify")(verify.verify)
app.command("bench")(bench.bench)
app.command("estimate")(estimate.estimate)
app.command("version")(version.version)
app.add_typer(tasks.app, name="tasks")
app.add_typer(baseline.app, name="baseline")
app.add_typer(leaderboard.app, name="leaderboard")
app.add_typer(judge.app, name="judge")
app.add_typer(models.app, name="models")
app.add_typer(data.app, name="data")
app.add_typer(cache.app, name="cache")
app.add_typer(peft.app, name="peft")
