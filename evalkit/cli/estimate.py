"""`evalkit estimate`: what a model takes, from its configuration alone."""

from __future__ import annotations

from typing import Annotated

import typer

from evalkit.cli.output import console
from evalkit.render.terminal import rows_table
from evalkit.spec.config import Origin, expand


def estimate(
    model: Annotated[str, typer.Option("--model", "-M", help="Hub id, folder (config.json is enough), or a name.")],
    context: Annotated[int, typer.Option("--context", "-c", min=1, help="Tokens a sequence.")] = 2048,
    batch: Annotated[int, typer.Option("--batch", "-b", min=1, help="Sequences at a time.")] = 1,
    dtype: Annotated[str, typer.Option("--dtype", help="float32, bfloat16, float16 or auto.")] = "auto",
    quant: Annotated[str | None, typer.Option("--quant", help="int8, nf4, fp4, int8wo, int4wo, int8da.")] = None,
    revision: Annotated[str | None, typer.Option("--revision", help="Commit, tag or branch on the Hub.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Weights, keys and values, activations, and which device they fit. No weights are read.

    evalkit estimate --model meta-llama/Llama-3.1-8B --context 8192 --batch 4 --quant nf4
    """
    import json

    from evalkit.bench.estimate import estimate as predict
    from evalkit.bench.tables import estimate_rows

    asked = {"model": model, "dtype": dtype, "quant": quant, "revision": revision, "tasks": "estimate"}
    spec = expand({key: value for key, value in asked.items() if value is not None}, Origin())[0].model
    found = predict(spec, context, batch)
    if as_json:
        typer.echo(json.dumps(found.plain(), indent=2))
        return

    console().print(rows_table(("what", "estimate"), estimate_rows(found)))
