"""`evalkit estimate`: what a model takes, from its configuration alone."""

from __future__ import annotations

from typing import Annotated

import typer

from evalkit.bench.estimate import estimate as predict
from evalkit.cli.options import Given, Json, model_spec, takes
from evalkit.cli.output import console
from evalkit.render.terminal import rows_table


@takes("model", "dtype", "quant", "revision", required=("model",))
def estimate(
    settings: Given,
    context: Annotated[int, typer.Option("--context", min=1, help="Tokens a sequence.")] = 2048,
    batch: Annotated[int, typer.Option("--batch", "-b", min=1, help="Sequences at a time.")] = 1,
    as_json: Json = False,
) -> None:
    """Weights, keys and values, activations, and which device they fit. No weights are read; of a folder, config.json
    is enough.

    evalkit estimate --model meta-llama/Llama-3.1-8B --context 8192 --batch 4 --quant nf4
    """
    import json

    from evalkit.bench.tables import estimate_rows

    found = predict(model_spec(settings), context, batch)
    if as_json:
        typer.echo(json.dumps(found.plain(), indent=2))
        return

    console().print(rows_table(("what", "estimate"), estimate_rows(found)))
