"""`evalkit tasks list|show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.output import console
from evalkit.contract.errors import UserError
from evalkit.render.sheet import Column, Sheet

if TYPE_CHECKING:
    from evalkit.task.listing import Description, Row

app = typer.Typer(help="What can be evaluated.", no_args_is_help=True)

Include = Annotated[list[Path] | None, typer.Option("--include-path", help="Folder with more task definitions.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.command("list")
def list_tasks(
    word: Annotated[
        str | None, typer.Argument(metavar="[WORD]", help="Names that match ('mmlu_*'), or tasks that speak of it.")
    ] = None,
    include_path: Include = None,
    everything: Annotated[bool, typer.Option("--all", help="The parts of benchmarks too (mmlu_anatomy, ...).")] = False,
    long: Annotated[bool, typer.Option("--long", "-l", help="With version, data set, metrics and sample.")] = False,
    as_json: Json = False,
) -> None:
    """Tasks, groups and families of tasks. Every lm-evaluation-harness task is there besides, as lm_eval:NAME."""
    import json
    from dataclasses import asdict

    from evalkit.api.listing import task_rows

    found = task_rows(word or "*", include_path or ())
    for line in found.left_out:
        typer.echo(line, err=True)
    inner = frozenset() if everything or word else found.parts
    chosen = [row for row in found.rows if row.name not in inner]
    if not chosen and not found.families:
        raise UserError(f"no task or group speaks of {word!r}: see them all with: evalkit tasks list --all")
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in chosen], indent=2, ensure_ascii=False))
        return

    out = console()
    tasks, groups = ([row for row in chosen if (row.kind == "group") is group] for group in (False, True))
    for title, rows in (("Tasks", tasks), ("Groups", groups)):
        if rows:
            out.print(_sheet(title, rows, long))
    if found.families:
        sheet = Sheet([Column("name", "name"), Column("what", "line")], title="Families: any name of this form")
        for form, what in found.families.items():
            sheet.row(form, what)
        out.print(sheet)
    if inner:
        typer.echo(f"{len(inner)} parts of benchmarks are not shown: evalkit tasks list --all")
    typer.echo("one task in full: evalkit tasks show NAME; lm-evaluation-harness's: lm_eval:NAME")


def _sheet(title: str, rows: list[Row], long: bool) -> Sheet:
    columns = [Column("name", "name"), *([Column("kind", "whole")] if title == "Tasks" else [])]
    if long:
        columns += [
            Column("version", "whole"),
            Column("data set", "name"),
            Column("metrics", "name"),
            Column("bundled"),
        ]
    sheet = Sheet([*columns, Column("what", "prose" if long else "line")], title=title)
    for row in rows:
        more = (row.version, row.dataset, ", ".join(row.metrics), row.n_sample or "–") if long else ()
        kind = (row.kind,) if title == "Tasks" else ()
        sheet.row(row.name, *kind, *more, row.description)
    return sheet


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A task or group; NAME@5shot as in a run.")],
    num_fewshot: Annotated[int | None, typer.Option("--num-fewshot", help="Examples in the prompt shown.")] = None,
    include_path: Include = None,
    as_json: Json = False,
) -> None:
    """One task's whole definition, and one prompt as a model sees it."""
    import json
    from dataclasses import asdict

    from evalkit.api.listing import describe_task

    told = describe_task(name, num_fewshot=num_fewshot, include_path=include_path or ())
    if as_json:
        typer.echo(json.dumps({**asdict(told), "file": str(told.file)}, indent=2, ensure_ascii=False, default=str))
        return
    import yaml

    typer.echo(f"{told.row.name} (version {told.row.version}, {told.row.kind}): {told.row.description}")
    typer.echo(f"defined in {told.file}")
    if told.children:
        typer.echo("members: " + ", ".join(told.children))
    for line in _shots(told):
        typer.echo(line)
    if told.config:
        own = {key: value for key, value in told.config.get("evalkit", told.config).items() if key != "citation"}
        plain = json.loads(json.dumps(own, default=str))
        typer.echo("\n" + yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100).rstrip())
    if told.prompt:
        typer.echo(f"\nA prompt of the sample:\n\n{told.prompt}")
        for choice in told.choices:
            typer.echo(f"  | {choice!r}")
        typer.echo(f"\nThe answer: {told.target!r}")
    if told.citation:
        typer.echo(f"\n{told.citation.strip()}")


def _shots(told: Description) -> list[str]:
    """The few-shot examples and what decides their number, one line for all tasks of a group that agree."""
    found: dict[tuple[int, str], list[str]] = {}
    for task, shots in told.shots.items():
        found.setdefault((shots.number, shots.why), []).append(task)
    return [
        f"few-shot examples: {number} ({why})" + (f": {', '.join(tasks)}" if len(found) > 1 else "")
        for (number, why), tasks in found.items()
    ]
