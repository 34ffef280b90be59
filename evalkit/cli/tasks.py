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


@app.command("new")
def new(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the task goes; its name is the folder's.")],
    data: Annotated[Path | None, typer.Option("--data", metavar="FILE", help="Rows: .jsonl, .csv, ...")] = None,
    prompt: Annotated[str | None, typer.Option("--prompt", metavar="TEMPLATE", help="'Q: {{question}}\\nA:'")] = None,
    target: Annotated[str | None, typer.Option("--target", metavar="TEMPLATE", help="'{{answer}}'")] = None,
    choices: Annotated[
        str | None, typer.Option("--choices", metavar="A,B|TEMPLATE", help="Multiple choice: 'yes,no', '{{options}}'.")
    ] = None,
) -> None:
    """Write a task of your own: a folder with its task.yaml and its rows. Asks for what is not given."""
    import sys

    from evalkit.api.listing import write_task

    asks = sys.stdin.isatty()
    if data is None:
        data = Path(_asked(asks, "--data", "File of rows (.jsonl, .csv, .json, .parquet)"))
    if prompt is None:
        prompt = _asked(asks, "--prompt", "Prompt, with columns in {{ }}, \\n for a new line")
    if target is None:
        target = _asked(asks, "--target", "Right answer, for example {{answer}}")
        if asks and choices is None:
            choices = typer.prompt(
                "Choices (yes,no or {{options}}; empty: a free answer)", default="", show_default=False
            )
    file = write_task(folder, data=data, prompt=_lines(prompt), target=_lines(target), choices=choices or None)
    typer.echo(f"wrote {file}")
    _validate(folder.name, [folder], None)
    typer.echo(f"run it: evalkit run --tasks {folder.name} --include-path {folder}")


@app.command("validate")
def validate(
    tasks: Annotated[list[str], typer.Argument(metavar="TASK|FOLDER...", help="Names, or folders with definitions.")],
    include_path: Include = None,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", metavar="DIR", help="A mirror of data sets (or EVALKIT_DATA_DIR).")
    ] = None,
) -> None:
    """Render every row of a task without a model. Exit code 1 where some cannot be scored, 2 where no run could be."""
    bad = 0
    for name in tasks:
        folder = Path(name)
        if (folder.is_dir() and (folder / "task.yaml").is_file()) or (folder / "benchmark.py").is_file():
            bad += _validate(None, [folder], data_dir)
        else:
            bad += _validate(name, include_path or [], data_dir)
    raise typer.Exit(1 if bad else 0)


def _validate(name: str | None, include_path: list[Path], data_dir: Path | None) -> int:
    """Print what was found; the number of rows that cannot be scored."""
    from evalkit.api.listing import check_tasks

    bad = 0
    for one in check_tasks(name, include_path=include_path, data_dir=data_dir):
        rest = len(one.problems) - 3
        typer.echo(f"{one.name}: {one.n:,} rows, {len(one.problems):,} of them cannot be scored ({one.file})")
        for place, problem in one.problems[:3]:
            typer.echo(f"  row {place + 1}: {problem}")
        if rest > 0:
            typer.echo(f"  and {rest:,} more")
        for warning in one.warnings:
            typer.echo(f"  note: {warning}")
        if one.n:
            shown = "".join(f"\n  | {choice!r}" for choice in one.choices)
            typer.echo(f"the first prompt:\n\n{one.prompt}{shown}\n\nthe answer: {one.answer!r}")
        bad += len(one.problems)
    return bad


def _asked(asks: bool, flag: str, question: str) -> str:
    if not asks:
        raise UserError(f"tasks new: give {flag} ({question})")
    return str(typer.prompt(question))


def _lines(text: str) -> str:
    """A shell leaves "\\n" as two characters."""
    return text.replace("\\n", "\n")
