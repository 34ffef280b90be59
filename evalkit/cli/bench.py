"""`evalkit bench`: speed, latency, memory and energy of a model on this machine."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from evalkit.bench.server import Load, bench_server
from evalkit.cli.options import Given, model_spec, takes
from evalkit.cli.output import console
from evalkit.contract.errors import UserError
from evalkit.render.terminal import rows_table
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.spec.option import MODEL
from evalkit.spec.table import of_panel
from evalkit.spec.values import key_values

FORMATS = ("table", "json", "csv", "md")


@takes(*of_panel(MODEL))
def bench(
    settings: Given,
    prompt: Annotated[str, typer.Option("--n-prompt", "-p", help="Prompt lengths, e.g. 128,512.")] = "512",
    generate: Annotated[str, typer.Option("--n-gen", "-n", help="Numbers of new tokens.")] = "128",
    batch: Annotated[str, typer.Option("--batch", "-b", help="Sequences at a time, e.g. 1,4,16.")] = "1",
    depth: Annotated[str, typer.Option("--n-depth", "-d", help="Tokens of context before the test.")] = "0",
    workload: Annotated[
        str | None, typer.Option("--workload", metavar="llm-perf", help="A fixed workload, for boards.")
    ] = None,
    repetitions: Annotated[int, typer.Option("--repetitions", "-r", min=1)] = 5,
    warmup: Annotated[int, typer.Option("--warmup", min=0, help="Repetitions that are not counted.")] = 1,
    sweep: Annotated[
        str | None, typer.Option("--sweep", metavar="draft-tokens=1..16", help="Writing at several draft lengths.")
    ] = None,
    server: Annotated[str | None, typer.Option("--server", metavar="URL", help="Measure a server instead.")] = None,
    request_rate: Annotated[float | None, typer.Option("--request-rate", help="Arrivals a second (Poisson).")] = None,
    max_concurrency: Annotated[int, typer.Option("--max-concurrency", min=1, help="Requests at a time.")] = 8,
    num_requests: Annotated[int, typer.Option("--num-requests", min=1, help="Requests sent to the server.")] = 32,
    goodput: Annotated[str, typer.Option(metavar="ttft=0.5,e2e=5", help="Targets in seconds: ttft, tpot, e2e.")] = "",
    form: Annotated[str, typer.Option("--format", help="table, json, csv or md.")] = "table",
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there.")] = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", hidden=True)] = None,
) -> None:
    """Measure reading (pp512), writing (tg128) and latencies; prediction and measurement side by side.

    evalkit bench --model smollm2-135m -p 128,512 -n 64 -b 1,4
    """
    from evalkit.bench.bench import WORKLOADS, Plan
    from evalkit.bench.bench import bench as measure

    if output is not None and str(output) in FORMATS:  # as llama-bench has it: -o json
        form = str(output)
    else:
        to = output or to
    if form not in FORMATS:
        raise UserError(f"--format {form}: unknown; one of {', '.join(FORMATS)}")
    if server is not None:
        counts = (num_requests, max_concurrency, max(_counts("--n-prompt", prompt)), max(_counts("--n-gen", generate)))
        _bench_server(server, settings.get("model"), request_rate, counts, goodput, form, to)
        return
    spec = model_spec(settings)
    plan = Plan(
        _counts("--n-prompt", prompt), _counts("--n-gen", generate), _counts("--batch", batch),
        _counts("--n-depth", depth, least=0), warmup, repetitions,
    )  # fmt: skip
    if workload is not None:
        if workload not in WORKLOADS:
            raise UserError(f"--workload {workload}: unknown; one of {', '.join(WORKLOADS)}")
        plan = replace(WORKLOADS[workload], warmup=warmup, repetitions=repetitions)
    for name, one in _swept(spec, sweep):
        label = f"{name}: " if name else ""
        done = measure(one, EngineSpec(), plan, partial(_note, label))
        _show(done, form, to if not name or to is None else to.with_stem(f"{to.stem}-{name}"))


def _note(label: str, test: str) -> None:
    typer.echo(f"evalkit: measuring {label}{test}", err=True)


def _swept(spec: ModelSpec, sweep: str | None) -> list[tuple[str, ModelSpec]]:
    """The model once, or once for each number of guessed tokens."""
    import re

    if sweep is None:
        return [("", spec)]
    asked = re.fullmatch(r"draft[-_]tokens=(\d+)\.\.(\d+)", sweep)
    if asked is None or not 1 <= int(asked[1]) <= int(asked[2]):
        raise UserError(f"--sweep {sweep}: write draft-tokens=FIRST..LAST, for example draft-tokens=1..16")
    if not (spec.draft or spec.prompt_lookup):
        raise UserError("--sweep draft-tokens: needs something that guesses: --draft MODEL or --prompt-lookup 1")
    found = []
    for number in range(int(asked[1]), int(asked[2]) + 1):
        own = {"draft_tokens": number} if spec.draft else {"prompt_lookup": number}
        label = f"{spec.label or spec.name}-k{number}"
        found.append((f"k{number}", spec.model_copy(update={**own, "label": label})))
    return found


def _bench_server(
    url: str, model: str | None, rate: float | None, counts: tuple[int, int, int, int], goodput: str, form: str,
    to: Path | None,
) -> None:  # fmt: skip
    from evalkit.bench.tables import server_rows

    targets = key_values("--goodput", goodput)
    if unknown := sorted(set(targets) - {"ttft", "tpot", "e2e"}):
        raise UserError(f"--goodput: {unknown[0]} is unknown; targets are ttft, tpot and e2e, in seconds")
    if rate is not None and rate <= 0:
        raise UserError(f"--request-rate {rate:g}: must be above 0")
    requests, concurrency, words, tokens = counts
    named: dict[str, Any] = {f"{name}_target": float(value) for name, value in targets.items()}
    load = Load(requests, rate or float("inf"), concurrency, words, tokens, **named)
    done = bench_server(url, model, load)
    if form == "json":
        text = done.as_json()
    elif form == "table" and to is None:
        for columns, rows in server_rows(done):
            console().print(rows_table(columns, rows))
        return
    else:
        from evalkit.bench.tables import csv_text, markdown

        write = csv_text if form == "csv" else markdown
        text = "\n".join(write(columns, rows) for columns, rows in server_rows(done))
    if to is None:
        typer.echo(text.rstrip("\n"))
    else:
        _write(to, text)


def _write(to: Path, text: str) -> None:

    try:
        to.write_text(text, "utf-8")
    except OSError as error:
        raise UserError(f"--to {to}: cannot be written ({error.strerror}): give another file") from None


def _counts(flag: str, text: str, least: int = 1) -> tuple[int, ...]:
    """ "128,512" as numbers."""

    try:
        found = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        found = ()
    if not found or min(found) < least:
        raise UserError(f"{flag} {text}: write whole numbers of at least {least}, separated by commas")
    return found


def _show(done: object, form: str, to: Path | None) -> None:
    from evalkit.bench import tables
    from evalkit.bench.bench import Bench

    assert isinstance(done, Bench)
    writers = {"json": tables.as_json, "csv": tables.as_csv, "md": tables.as_markdown, "table": tables.as_markdown}
    if to is not None:
        _write(to, writers[form](done))
        return
    if form != "table":
        typer.echo(writers[form](done).rstrip("\n"))
        return

    out = console()
    out.print(rows_table(tables.COLUMNS, tables.rows(done)))
    if latencies := tables.latency_rows(done):
        out.print(rows_table(tables.LATENCY, latencies))
    out.print(rows_table(("measured", "value"), tables.facts(done)))
