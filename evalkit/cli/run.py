"""`evalkit run`: flags and a YAML file become RunSpecs; each is carried out in turn."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand

from evalkit.cli import options, session
from evalkit.cli.arguments import normalize

EPILOG = "lm_eval's spellings (--model_args, --num_fewshot, --output_path, ...) mean the same. Docs: docs/run.md"


class RunCommand(TyperCommand):
    """Reads the line as a user of lm_eval writes it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "epilog": EPILOG})

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, normalize(args))


def run(
    ctx: typer.Context,
    model: options.Model = None,
    model_args: options.ModelArgs = None,
    backend: options.Backend = None,
    dtype: options.Dtype = None,
    device: options.Device = None,
    revision: options.Revision = None,
    max_length: options.MaxLength = None,
    quant: options.Quant = None,
    peft: options.Peft = None,
    peft_merge: options.PeftMerge = None,
    prompt_lookup: options.PromptLookup = None,
    draft: options.Draft = None,
    draft_tokens: options.DraftTokens = None,
    allow_missing_weights: options.AllowMissingWeights = None,
    label: options.Label = None,
    tasks: options.Tasks = None,
    num_fewshot: options.NumFewshot = None,
    chat_template: options.ChatTemplate = None,
    system: options.System = None,
    fewshot_as_multiturn: options.FewshotAsMultiturn = None,
    gen_kwargs: options.GenKwargs = None,
    metrics: options.Metrics = None,
    seed: options.Seed = None,
    include_path: options.IncludePath = None,
    sample: options.Sample = None,
    limit: options.Limit = None,
    limit_random: options.LimitRandom = None,
    data_dir: options.DataDir = None,
    batch_size: options.BatchSize = None,
    max_batch_size: options.MaxBatchSize = None,
    share_prefixes: options.SharePrefixes = None,
    overlength: options.Overlength = None,
    cache: options.Cache = None,
    executor: options.Executor = None,
    replicas: options.Replicas = None,
    gpus_per_replica: options.GpusPerReplica = None,
    ray_address: options.RayAddress = None,
    max_memory: options.MaxMemory = None,
    output: options.Output = None,
    resume: options.Resume = None,
    log_samples: options.LogSamples = None,
    max_error_rate: options.MaxErrorRate = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Evaluate a model on tasks; write results, samples and a report.

    evalkit run --model smollm2-135m --tasks mmlu,hellaswag --sample
    """

    own = {"config", "resume", "as_json", "quiet", "max_batch_size"}
    # An option that may be repeated and was not given is an empty list, which asks for nothing.
    flags = {name: value for name, value in ctx.params.items() if value not in (None, (), []) and name not in own}
    if max_batch_size is not None:
        typer.echo("evalkit: note: --max-batch-size is ignored: batches are planned by memory (--max-memory)", err=True)
    raise typer.Exit(session.run(session.Asked(flags, config, resume), as_json=as_json, quiet=quiet))
