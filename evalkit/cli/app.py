"""The command tree. A command's module is imported when it is asked for: `evalkit --help` needs none of them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from evalkit import __version__
from evalkit.cli import help as help_text
from evalkit.contract.errors import UserError
from evalkit.contract.registry import did_you_mean

COMMANDS = {
    "run": "Evaluate a model on tasks; write results, samples and a report.",
    "retry": "Run only the failed items of a run again, and write its results anew.",
    "rescore": "Score a run's stored answers again, with today's task files, filters and metrics. No model is asked.",
    "report": "Write one self-contained report of one or several runs.",
    "view": "Show a folder of runs in the browser, live, on this machine alone; Ctrl-C ends it.",
    "compare": "Compare runs on the same items: paired differences, intervals, tests, flipped items.",
    "gate": (
        "Judge a candidate against a baseline. Exit codes: 0 pass, 1 regression, 2 usage, 3 too few items to tell."
    ),
    "check": "Evaluate a model against a baseline, and stop as soon as a pass or a regression is shown.",
    "plan": "How likely the gate is to pass, fail or not tell, before an item is asked about, and the items it needs.",
    "verify": "Check a run directory's files against each other; exit code 1 if something is wrong.",
    "bench": "Measure reading (pp512), writing (tg128) and latencies; prediction and measurement side by side.",
    "estimate": (
        "Weights, keys and values, activations, and which device they fit. No weights are read; of a folder, "
        "config.json is enough."
    ),
    "version": "Print the versions of evalkit, Python and the libraries that decide its numbers.",
    "tasks": "What can be evaluated.",
    "log": "Send finished runs to experiment trackers and files. A run that is sent again is updated there.",
    "push": "Write a run's results (and samples) into a data set of the Hub, in one commit.",
    "card": "Print a run's results as a model card's block (model-index), or write them into a card.",
    "prompts": "What a run would ask, without asking it.",
    "samples": "What a run asked and what was answered, for other programs.",
    "baseline": "Small files that stand for a run in paired tests.",
    "leaderboard": "Leaderboards: entries of runs, and static sites of them.",
    "judge": "A model as judge of answers that are already there.",
    "models": "Models that have a name of their own.",
    "data": "Data sets: fetched for machines without a network, and checked.",
    "cache": "Answers shared between runs (--cache DIR), and what evalkit keeps for itself.",
    "peft": "Adapters.",
    "study": "Experiments of several runs, from one configuration.",
}
"""Every command with the first line of its help. Its module is evalkit.cli.NAME, which has a typer ``app``, or for a
single command a function of that name.
"""


USAGE: Any = typer.BadParameter.__base__
"""What typer raises for a line that cannot be read, by the one name of it that typer offers."""
PANELS = {
    "Evaluate": ("run", "retry", "rescore", "prompts", "study"),
    "Tasks, models, data": ("tasks", "models", "data"),
    "Look and compare": ("view", "report", "compare", "samples"),
    "Decide": ("gate", "check", "plan", "baseline"),
    "Publish": ("leaderboard", "log", "push", "card"),
}
"""The commands of `evalkit --help` by heading; the others stand below under one of their own."""


class Tidy:
    """Of a command or group: help of our own, in which a flag that takes no value shows none."""

    panels: Mapping[str, tuple[str, ...]] | None = None

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        help_text.write(self, ctx, formatter, self.panels)

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, as typer has them otherwise."""
        found: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for one in found:
            if one.metavar is None and one.param_type_name == "option":
                one.metavar = "" if one.is_flag else help_text.kind_of(one, ctx)
        return found


FORMER = {
    "gate": {"-b": "--baseline", "-c": "--candidate"},
    "estimate": {"-c": "--context"},
    "build": {"-b": "--board"},
}
"""Letters that some commands once had for other things than the rest: still understood, no longer shown."""


class Command(Tidy, TyperCommand):
    """A command that reads its line as a user of lm_eval writes it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The line in our spelling, then as typer reads it."""
        from evalkit.cli.arguments import normalize, without_lm_eval_only

        former = FORMER.get(self.name or "", {})
        args = [former.get(word, word) for word in args]
        if self.name == "run":
            args, notes = without_lm_eval_only(args)
            for note in notes:
                typer.echo(f"evalkit: note: {note}", err=True)
        return super().parse_args(ctx, normalize(args, [one.name for one in self.params if one.name]))


class Group(Tidy, TyperGroup):
    """A group of commands."""

    panels: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class Commands(Group):
    """The root group: a mistake of the user becomes one line on stderr and exit code 2."""

    panels = PANELS

    def list_commands(self, ctx: Any) -> list[str]:
        """All names."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command's name and summary; `resolve_command` gives the command itself."""
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name]) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """The command that a line asks for, imported."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = did_you_mean(args[0], COMMANDS, most=0)
            raise UserError(f"there is no command {args[0]!r}{near}; evalkit --help shows them all")
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and load(str(name)), rest

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Let --debug stand anywhere on the line."""
        if "--debug" in args:
            args = ["--debug", *(arg for arg in args if arg != "--debug")]
        try:
            return super().parse_args(ctx, args)
        except USAGE as error:
            raise _told(error) from None

    def invoke(self, ctx: Any) -> Any:
        """Run the command; ``--debug`` lets the traceback through."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            if ctx.params.get("debug"):
                raise
            typer.echo(f"evalkit: error: {' '.join(str(error).split())}", err=True)
            raise typer.Exit(error.exit_code) from None
        except USAGE as error:
            raise _told(error) from None


def _told(error: Any) -> Exception:
    """A line that cannot be read, told as every other mistake of the user; of a group without a command the help."""
    path = error.ctx.command_path if error.ctx is not None else "evalkit"
    message = " ".join(error.format_message().split()).rstrip(".")
    if message.startswith("Usage:"):
        typer.echo(error.format_message())
        return typer.Exit(2)
    where = f"{path.removeprefix('evalkit').strip()}: ".removeprefix(": ")
    typer.echo(f"evalkit: error: {where}{message[:1].lower()}{message[1:]}; see {path} --help", err=True)
    return typer.Exit(2)


@cache
def load(name: str) -> Any:
    """A command or group of commands by its name, as click has it."""
    module = importlib.import_module(f"evalkit.cli.{name}")
    holder = typer.Typer()
    holder.callback()(lambda: None)
    if (group := getattr(module, "app", None)) is None:
        holder.command(name, cls=Command, epilog=getattr(module, "EPILOG", None))(getattr(module, name))
    else:
        for one in group.registered_commands:
            one.cls = Command
        holder.add_typer(group, name=name, cls=Group)
    return typer.main.get_group(holder).commands[name]


app = typer.Typer(
    name="evalkit",
    cls=Commands,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"evalkit {__version__}")
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (may stand anywhere).")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print evalkit's version.")
    ] = False,
) -> None:
    """Evaluate and benchmark language models: lm-evaluation-harness's numbers, faster, resumable, with error bars."""


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="evalkit")
