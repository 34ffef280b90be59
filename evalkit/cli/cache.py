"""`evalkit cache stats|verify|prune`: answers shared between runs; without a folder, what evalkit keeps for itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from evalkit.contract.errors import UserError

app = typer.Typer(
    help="Answers shared between runs (--cache DIR), and what evalkit keeps for itself.", no_args_is_help=True
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder given to --cache.")]
OptionalFolder = Annotated[
    Path | None,
    typer.Argument(
        metavar="DIR", help="The folder given to --cache; without one, evalkit's own: token ids, templates, hashes."
    ),
]
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
SIZES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


@app.command("stats")
def stats(folder: OptionalFolder = None) -> None:
    """How many answers, how large, how old; without a folder, how much is kept of each kind."""
    if folder is None:
        from evalkit.store import kept

        for kind, place in kept.folders().items():
            found = kept.stats(place)
            typer.echo(f"{kind}: {found['files']:,} files, {found['bytes']:,} bytes in {place}")
        return
    from evalkit.store import ResponseCache

    with ResponseCache(_existing(folder)) as cache:
        for name, value in cache.stats().items():
            typer.echo(f"{name.replace('_', ' ')}: {_shown(name, value)}")


@app.command("verify")
def verify(folder: Folder) -> None:
    """Check every answer; damaged ones are removed and will be computed again. Exit code 1 if there were some."""
    from evalkit.store import ResponseCache

    with ResponseCache(_existing(folder)) as cache:
        problems = cache.verify()
    for problem in problems:
        typer.echo(problem)
    if problems:
        raise typer.Exit(1)
    typer.echo(f"{folder}: sound")


@app.command("prune")
def prune(
    folder: OptionalFolder = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="30d", help="Remove older answers (s, m, h, d, w).")
    ] = None,
    max_size: Annotated[
        str | None, typer.Option("--max-size", metavar="10G", help="Then the oldest, until this size (K, M, G).")
    ] = None,
) -> None:
    """Remove old answers; without a folder, what evalkit keeps for itself and did not use for longest."""
    from evalkit.store import ResponseCache

    if older_than is None and max_size is None:
        raise UserError("cache prune: say what to remove: --older-than 30d or --max-size 10G")
    age = _measure("--older-than", older_than, UNITS) if older_than else None
    size = _measure("--max-size", max_size, SIZES) if max_size else None
    if folder is None:
        from evalkit.store import kept

        most = kept.LIMIT if size is None else int(size)
        typer.echo(
            f"removed {kept.shrink(kept.folders().values(), most, age):,} files, which are made again when needed"
        )
        return
    with ResponseCache(_existing(folder)) as cache:
        removed = cache.prune(max_age=age, max_size=None if size is None else int(size))
    typer.echo(f"removed {removed:,} answers")


def _existing(folder: Path) -> Path:
    """A cache is made by --cache; looking at one must not make it."""
    if not folder.is_dir() or not any(folder.iterdir()):
        raise UserError(f"{folder}: no cache of answers: give the folder that `evalkit run --cache` was given")
    return folder


def _measure(flag: str, text: str, units: dict[str, int]) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([a-z]?)b?", text.strip().lower())
    if not match or match[2] not in units:
        raise UserError(f"{flag} {text}: write a number and a unit ({', '.join(unit for unit in units if unit)})")
    return float(match[1]) * units[match[2]]


def _shown(name: str, value: object) -> str:
    from datetime import UTC, datetime

    if value is None:
        return "none"
    if name in ("oldest", "newest") and isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds")
    return f"{value:,}" if isinstance(value, int) else str(value)
