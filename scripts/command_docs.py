"""Writes docs/commands.md from the command line itself: `python scripts/command_docs.py`; `--check` only compares."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import typer
import typer.core

from evalkit.cli import help as help_text

CONTEXT = typer.Context(typer.core.TyperCommand(None))
PAGE = Path(__file__).parents[1] / "docs" / "commands.md"
HEAD = """\
# Commands

Every command with its arguments and options, written by `scripts/command_docs.py` from the program's own help.
[run.md](run.md) explains the options of `evalkit run` by subject.

Options may be written with dashes or underscores in `evalkit run`. `--debug`, anywhere on the line, shows the traceback
of an error. Results go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 failed, 2 bad input,
130 interrupted; `evalkit gate` adds 3, inconclusive.
"""


def page() -> str:
    """The whole page as Markdown."""
    from evalkit.cli.app import COMMANDS, load

    root = SimpleNamespace(commands={name: load(name) for name in COMMANDS})
    sections = [section for name, command in _commands(root) for section in _section(name, command)]
    index = [f"| [`evalkit {name}`](#{_anchor(name)}) | {_first(command)} |" for name, command in _commands(root)]
    return "\n".join([HEAD, "| command | |", "|:--|:--|", *index, "", *sections]).rstrip() + "\n"


def _commands(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its full name; groups before their own."""
    for name, command in sorted(group.commands.items()):
        full = f"{above}{name}"
        inner = getattr(command, "commands", None)
        if inner is None or getattr(command, "invoke_without_command", False):
            yield full, command
        if inner:
            yield from _commands(command, f"{full} ")


def _section(name: str, command: Any) -> Iterator[str]:
    shown = [one for one in command.params if not getattr(one, "hidden", False) and one.name != "help"]
    arguments = [one for one in shown if one.param_type_name == "argument"]
    options = [one for one in shown if one.param_type_name == "option"]
    usage = " ".join(["evalkit", name, *(_argument(one) for one in arguments), *(["[OPTIONS]"] if options else [])])
    yield f"## evalkit {name}\n\n{_text(command.help)}\n\n    {usage}\n"
    if described := [one for one in arguments if getattr(one, "help", None)]:
        yield _table("argument", [(f"`{_name(one)}`", _text(one.help)) for one in described])
    panels = dict.fromkeys([None, *(getattr(one, "rich_help_panel", None) for one in options)])
    for panel in panels:
        rows = [(_flags(one), _meaning(one)) for one in options if getattr(one, "rich_help_panel", None) == panel]
        if not rows:
            continue
        if panel:
            yield f"### {name}: {panel}\n"
        yield _table("option", rows)


def _table(title: str, rows: list[tuple[str, str]]) -> str:
    lines = [f"| {title} | meaning |", "|:--|:--|", *(f"| {left} | {right} |" for left, right in rows)]
    return "\n".join(lines) + "\n"


def _argument(one: Any) -> str:
    name = _name(one) + ("..." if one.nargs == -1 else "")
    return name if one.required else f"[{name}]"


def _name(one: Any) -> str:
    return str(one.metavar or one.name).upper()


def _flags(one: Any) -> str:
    names = [name for name in (*one.opts, *one.secondary_opts) if name.startswith("-")]
    value = "" if one.is_flag else str(one.metavar or help_text.kind_of(one, CONTEXT))
    return ", ".join(f"`{name}`" for name in names) + (f" `{_cell(value)}`" if value else "")


def _meaning(one: Any) -> str:
    text = re.sub(r"\s*\\\[default: (.*)\\\]$", r" Default: \1.", _text(one.help))
    # Typer shows what is the default by itself, except where the help says so in its own words.
    if one.required:
        text += " Required."
    elif one.show_default and one.default not in (None, False, (), [], "") and not callable(one.default):
        text += f" Default: `{getattr(one.default, 'value', one.default)}`."
    return text.strip()


def _first(command: Any) -> str:
    return _text(command.help).split("\n")[0]


def _text(help_text: str | None) -> str:
    """Help as Markdown: rich's escapes undone, lines of a paragraph joined, nothing that could be markup left bare."""
    text = (help_text or "").replace("\\[", "[").strip()
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
    pieces = [re.split(r"(`[^`]*`)", part) for part in paragraphs]
    written = ["".join(p if p.startswith("`") else _escaped(p) for p in part) for part in pieces]
    examples = [part.startswith("evalkit ") for part in paragraphs]
    return "\n\n".join(
        f"    {p}" if example else w for p, w, example in zip(paragraphs, written, examples, strict=True)
    )


def _escaped(text: str) -> str:
    return re.sub(r"([\\*_|<>\[\]])", r"\\\1", text)


def _cell(text: str) -> str:
    """Code in a table cell: a bar would end the cell, also inside code."""
    return text.replace("|", "\\|")


def _anchor(name: str) -> str:
    return f"evalkit-{name}".replace(" ", "-")


def main() -> int:
    """Write the page, or with --check say whether it is stale (exit code 1)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if the page is stale")
    text = page()
    if parser.parse_args().check:
        fresh = PAGE.is_file() and PAGE.read_text("utf-8") == text
        print(f"{PAGE.name}: {'up to date' if fresh else 'stale: run python scripts/command_docs.py'}")
        return 0 if fresh else 1
    PAGE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
