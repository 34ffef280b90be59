"""`evalkit leaderboard`: runs as a static site that anyone can sort, filter and drill into."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.contract.errors import UserError
from evalkit.leaderboard.serve import LOOPBACK, server

app = typer.Typer(help="Leaderboards: entries of runs, and static sites of them.", no_args_is_help=True)


@app.command("build")
def build(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(help="Run directories, files of evalkit bench, entry files, or folders of any."),
    ] = None,
    board: Annotated[
        str | None,
        typer.Option("--board", help="A board's name, or its YAML file. [default: the tasks that the runs have]"),
    ] = None,
    out: Annotated[Path, typer.Option("--output", "--out", "-o", help="The site's folder.")] = Path("site"),
    csv: Annotated[
        list[Path] | None, typer.Option("--published", help="CSV of published numbers (may be repeated).")
    ] = None,
    own_only: Annotated[
        bool, typer.Option("--no-published", help="Leave out the published numbers that the board names.")
    ] = False,
    no_reports: Annotated[bool, typer.Option("--no-reports", help="Do not copy the runs' reports.")] = False,
    url: Annotated[str, typer.Option("--url", help="Where the site will stand, for the feed's links.")] = "",
) -> None:
    """Write the static site of a board."""
    from evalkit.leaderboard.board import load_board
    from evalkit.leaderboard.from_runs import lacking
    from evalkit.leaderboard.site import build_site

    table = build_site(
        sources or [],
        load_board(board) if board else None,
        out,
        csv=csv or [],
        with_published=not own_only,
        with_reports=not no_reports,
        url=url,
    )
    for line in lacking(table):
        typer.echo(line, err=True)
    ranked = sum(row.rank is not None for row in table.rows)
    typer.echo(f"{len(table.rows)} rows, {ranked} ranked ({table.ranked})", err=True)
    typer.echo(out / "index.html")


@app.command("add")
def add(
    runs: Annotated[list[Path], typer.Argument(help="Finished run directories, or folders of them.")],
    to: Annotated[Path, typer.Option("--to", help="The folder of entries, for example in a git repository.")],
    label: Annotated[str, typer.Option("--label", help="The model's name on boards.")] = "",
    kind: Annotated[
        str, typer.Option("--type", help="pretrained, fine-tuned or instruction-tuned. [default: by what the run says]")
    ] = "",
) -> None:
    """Write one entry (JSON) a run: numbers and what they were measured on, no texts and no paths."""
    from evalkit.leaderboard.collect import collect, run_entry
    from evalkit.leaderboard.entry import TYPES, write_entry

    if kind and kind not in TYPES:
        raise UserError(f"leaderboard add: --type {kind}: choose one of {', '.join(TYPES)}")
    for path in runs:
        own = path.is_dir() and (path / "results.json").is_file()
        found = [run_entry(path, label=label, kind_of_model=kind)] if own else collect([path])
        for one in found:
            entry = one.entry
            if not own and (label or kind) and entry.kind == "measured":
                changes = {"name": label or entry.model.name, "type": kind or entry.model.type}
                entry = entry.model_copy(update={"model": entry.model.model_copy(update=changes)})
            typer.echo(write_entry(entry, to))


@app.command("import")
def import_csv(
    files: Annotated[list[Path], typer.Argument(help="CSV files of published numbers; docs/leaderboards.md.")],
    to: Annotated[Path, typer.Option("--to", help="The folder of entries.")],
) -> None:
    """Write published numbers as entries; they stay marked as published."""
    from evalkit.leaderboard.entry import write_entry
    from evalkit.leaderboard.published import read_csv

    for path in files:
        for entry in read_csv(path):
            typer.echo(write_entry(entry, to))


@app.command("validate")
def validate(
    paths: Annotated[list[Path], typer.Argument(help="Entry files, or folders of them.")],
) -> None:
    """Check entries against the schema: exit code 1 if one is wrong, with a line each."""
    from evalkit.leaderboard.collect import entry_files
    from evalkit.leaderboard.entry import parse
    from evalkit.leaderboard.from_bench import is_bench

    good, bad = 0, 0
    for source in paths:
        if not source.exists():
            raise UserError(f"{source}: no such file or folder")
        for path, text in entry_files(source):
            if is_bench(text):
                continue
            try:
                entry = parse(text, str(path))
                if path.stem != entry.id:
                    raise UserError(
                        f"{path}: is not named after its content ({entry.id}.json): was it edited? add it again"
                    )
                good += 1
            except UserError as error:
                bad += 1
                typer.echo(" ".join(str(error).split()), err=True)
    typer.echo(f"{good} valid, {bad} not valid")
    if bad or not good:
        raise typer.Exit(1)


@app.command("schema")
def schema() -> None:
    """Print the JSON schema of an entry."""
    import json

    from evalkit.leaderboard.entry import Entry

    typer.echo(json.dumps(Entry.model_json_schema(), indent=2))


@app.command("boards")
def boards() -> None:
    """List the boards that are shipped."""
    from evalkit.leaderboard.board import load_board, names

    for name in names():
        board = load_board(name)
        typer.echo(f"{name:16}{board.title} ({len(board.columns)} columns)")


@app.command("serve")
def serve(
    site: Annotated[Path, typer.Argument(help="A built site.")] = Path("site"),
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="0: any free port.")] = 8000,
) -> None:
    """Show a built site on the loopback address, until Ctrl-C."""

    running = server(site, port)
    typer.echo(f"http://{LOOPBACK}:{running.server_address[1]}/")
    try:
        running.serve_forever()
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
    finally:
        running.server_close()
