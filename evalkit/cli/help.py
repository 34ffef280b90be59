"""Help texts for a terminal of 80 columns: flags whole, their meaning beside or below them, by subject."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

WIDEST = 100
"""Columns; longer lines are hard to read."""
FLAGS = 26
"""Columns of the flags; the meaning of longer ones begins on the next line."""
BEGINS = ("evalkit ", "$ ")


TYPE = re.compile(r" <\S.*>$")
"""What typer writes behind an argument's name."""
WORDS = {"str": "TEXT", "int": "N", "float": "X", "path": "PATH", "int range": "N", "float range": "X"}
"""What stands for a value of each type, one of a list's too."""


def kind_of(option: Any, ctx: Any) -> str:
    """The word for an option's value."""
    shown = option.display_type(ctx).strip("<>")
    return WORDS.get(shown.removeprefix("list[").removesuffix("]").lower(), shown)


def write(command: Any, ctx: Any, formatter: Any, panels: Mapping[str, Iterable[str]] | None = None) -> None:
    """A command's whole help into ``formatter``. ``panels``: a group's commands by heading, those of none last."""
    formatter.width = max(40, min(shutil.get_terminal_size().columns, WIDEST) - 1)
    pieces = [re.sub(r"^\{(.+)\}", r"\1", one) for one in command.collect_usage_pieces(ctx)]
    pieces = [one.upper() if re.fullmatch(r"\W*[a-z_]+\W*", one) else one for one in pieces]
    formatter.write_usage(ctx.command_path, " ".join(pieces))
    for paragraph in re.split(r"\n\s*\n", (command.help or "").replace("\b", "").strip()):
        formatter.write_paragraph()
        if paragraph.startswith(BEGINS):
            formatter.write(
                "".join(f"  {line}\n" for line in example(" ".join(paragraph.split()), formatter.width - 2))
            )
        elif paragraph:
            formatter.write_text(" ".join(paragraph.split()))
    if panels is not None:
        _commands(command, ctx, formatter, panels)
    _options(command, ctx, formatter)
    if command.epilog:
        formatter.write_paragraph()
        formatter.write_text(command.epilog)


def example(line: str, width: int) -> list[str]:
    """A command line in rows that can be pasted together: parted before an option, with a backslash."""
    rows = [""]
    for part in re.split(r" (?=--?[a-zA-Z])", line):
        joined = f"{rows[-1]} {part}" if rows[-1] else part
        if rows[-1] and len(joined) + 2 > width:
            rows[-1] += " \\"
            rows.append(f"    {part}")
        else:
            rows[-1] = joined
    return rows


def _options(command: Any, ctx: Any, formatter: Any) -> None:
    """Arguments, then options under their headings, those without one last."""
    rows: dict[str, list[tuple[str, str]]] = {"Arguments": []}
    last: list[tuple[str, str]] = []
    for one in command.get_params(ctx):
        record = one.get_help_record(ctx)
        if record is None:
            continue
        flags, meaning = record[0], record[1].replace("\\[", "[")
        if one.param_type_name == "argument":
            rows["Arguments"].append((TYPE.sub("", flags).upper(), meaning))
        elif panel := getattr(one, "rich_help_panel", None):
            rows.setdefault(panel, []).append((flags, meaning))
        else:
            last.append((flags, meaning))
    for title, found in {**rows, "Options": last}.items():
        _section(formatter, title, found)


def _commands(group: Any, ctx: Any, formatter: Any, panels: Mapping[str, Iterable[str]]) -> None:
    left = {name: group.get_command(ctx, name) for name in group.list_commands(ctx)}
    for title, names in panels.items():
        _section(formatter, title, [(name, _summary(left.pop(name))) for name in names if name in left])
    _section(formatter, "More" if panels else "Commands", [(name, _summary(one)) for name, one in left.items()])


def _summary(command: Any) -> str:
    return " ".join((command.help or "").strip().split("\n\n")[0].split())


def _section(formatter: Any, title: str, rows: list[tuple[str, str]]) -> None:
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows, col_max=FLAGS)
