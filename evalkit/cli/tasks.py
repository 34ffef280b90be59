"""`evalkit tasks list|show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.output import console
from evalkit.contract.errors import UserError
from evalkit.render.terminal import rows_table

if TYPE_CHECKING:
    from evalkit.task.listing import Description

app = typer.Typer(help="What can be evaluated.", no_args_is_help=True)

Include = Annotated[list[Path] | None, typer.Option("--include-path", help="Folder with more task definitions.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.command("list")
def list_tasks(
    pattern: Annotated[str, typer.Argument(help="Only names that match, for example 'mmlu_*'.")] = "*",
    include_path: Include = None,
    everything: Annotated[bool, typer.Option("--all", help="The members of groups too.")] = False,
    as_json: Json = False,
) -> None:
    """Tasks and groups. Every lm-evaluation-harness task is there besides, as lm_eval:NAME."""
    import json
    from dataclasses import asdict

    from evalkit.api.listing import task_rows

    found = task_rows(pattern, include_path or ())
    for line in found.left_out:
        typer.echo(line, err=True)
    chosen = found.rows
    if not chosen:
        raise UserError(f"no task or group matches {pattern!r}: see them all with: evalkit tasks list --all")
    if pattern == "*" and not everything:
        chosen = [row for row in found.rows if not row.groups]
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in chosen], indent=2, ensure_ascii=False))
        return

    columns = ("name", "kind", "version", "data set", "metrics", "sample", "what")
    cells = [
        (row.name, row.kind, row.version, row.dataset, ", ".join(row.metrics), row.n_sample or "–", row.description)
        for row in chosen
    ]
    console().print(rows_table(columns, cells))
    if len(chosen) < found.known and pattern == "*":
        typer.echo(f"{found.known - len(chosen)} members of groups are not shown: evalkit tasks list --all")


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
