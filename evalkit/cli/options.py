"""The flags of `evalkit run`, one type each; what is left out stays None, so that a file's setting can stand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def _flag(*names: str, panel: str, help: str, metavar: str | None = None, hidden: bool = False) -> Any:
    # Defaults are told in the help: None means "not given". Brackets would be taken for markup.
    text = help.replace("[", r"\[")
    return typer.Option(*names, rich_help_panel=panel, help=text, metavar=metavar, hidden=hidden, show_default=False)


_MODEL, _TASKS, _DATA, _SPEED, _OUT = "Model", "Tasks and prompts", "Documents", "Speed", "Output"

Model = Annotated[
    str | None,
    _flag(
        "--model",
        "-M",
        panel=_MODEL,
        help=(
            "Hub id, folder, .gguf file, predictions:FILE, or a name from `evalkit models list`; "
            "or a backend's name with pretrained=... in --model-args. [default: smollm2-135m]"
        ),
    ),
]
ModelArgs = Annotated[
    str | None, _flag("--model-args", "-a", panel=_MODEL, metavar="K=V,...", help="Arguments of the backend.")
]
Backend = Annotated[
    str | None,
    _flag(
        "--backend", panel=_MODEL, help="hf, mock, predictions, or one of a plugin. [default: chosen from the model]"
    ),
]
Dtype = Annotated[
    str | None, _flag("--dtype", panel=_MODEL, help="float32, bfloat16, float16 or auto. [default: auto]")
]
Device = Annotated[str | None, _flag("--device", panel=_MODEL, help="cpu, cuda, cuda:1, mps or auto. [default: auto]")]
Revision = Annotated[str | None, _flag("--revision", panel=_MODEL, help="Commit, tag or branch on the Hub.")]
MaxLength = Annotated[
    int | None, _flag("--max-length", panel=_MODEL, help="Context window in tokens. [default: the model's]")
]
Quant = Annotated[
    str | None,
    _flag(
        "--quant",
        panel=_MODEL,
        help="Quantize while loading: int8, nf4, fp4 (bitsandbytes); int8wo, int4wo, int8da (torchao).",
    ),
]
Peft = Annotated[
    str | None,
    _flag(
        "--peft",
        panel=_MODEL,
        metavar="PATH[:WEIGHT],...",
        help="Adapters (LoRA, IA3, prefix, prompt tuning, ...); several are added up with their weights.",
    ),
]
PeftMerge = Annotated[bool | None, _flag("--peft-merge", panel=_MODEL, help="Merge the adapters into the weights.")]
PromptLookup = Annotated[
    str | None,
    _flag(
        "--prompt-lookup",
        panel=_MODEL,
        metavar="[N]",
        help="Guess N tokens from the prompt and check them at once; same text as greedy. [N: 10]",
    ),
]
Draft = Annotated[
    str | None, _flag("--draft", panel=_MODEL, metavar="MODEL", help="Smaller model that guesses the next tokens.")
]
DraftTokens = Annotated[
    int | None, _flag("--draft-tokens", panel=_MODEL, help="Tokens that the draft guesses at a time. [default: 5]")
]
AllowMissingWeights = Annotated[
    bool | None,
    _flag(
        "--allow-missing-weights",
        panel=_MODEL,
        help="Run a model whose files lack weights or whose tokenizer does not fit; recorded, never cached.",
    ),
]
Label = Annotated[str | None, _flag("--label", panel=_MODEL, help="Name in tables and folders.")]
Tasks = Annotated[
    str | None,
    _flag(
        "--tasks",
        "-t",
        panel=_TASKS,
        metavar="A,B,...",
        help="Tasks, groups or patterns (mmlu_*); NAME@sample; lm_eval:NAME.",
    ),
]
NumFewshot = Annotated[
    int | None, _flag("--num-fewshot", "-f", panel=_TASKS, help="Examples before each question. [default: the task's]")
]
ChatTemplate = Annotated[
    str | None,
    _flag(
        "--chat-template",
        panel=_TASKS,
        metavar="[NAME]",
        help="Prompt as a conversation, by the model's template (or the one called NAME).",
    ),
]
System = Annotated[str | None, _flag("--system", panel=_TASKS, help="System message or leading text.")]
FewshotAsMultiturn = Annotated[
    str | None,
    _flag(
        "--fewshot-as-multiturn",
        panel=_TASKS,
        metavar="[BOOL]",
        help="With a chat template: examples as turns. [default: true]",
    ),
]
GenKwargs = Annotated[
    str | None,
    _flag(
        "--gen-kwargs",
        panel=_TASKS,
        metavar="K=V,...",
        help="Generation settings: temperature, top_p, max_gen_toks, until, ...",
    ),
]
Metrics = Annotated[
    str | None,
    _flag(
        "--metrics",
        panel=_TASKS,
        metavar="A,B,...",
        help="Metrics beside the tasks' own, where they fit: ece, rouge1, evaluate:NAME, ... (docs/metrics.md)",
    ),
]
Seed = Annotated[
    str | None,
    _flag(
        "--seed",
        panel=_TASKS,
        help="Of few-shot draws, subsets and sampling; lm_eval's four seeds are understood. [default: 1234]",
    ),
]
IncludePath = Annotated[
    list[str] | None, _flag("--include-path", panel=_TASKS, help="Folder with more task definitions (may be repeated).")
]
Sample = Annotated[
    bool | None,
    _flag(
        "--bundled",
        "--sample",
        panel=_DATA,
        help="Use each task's small bundled items (not comparable with the full set).",
    ),
]
Limit = Annotated[
    str | None,
    _flag(
        "--limit",
        "-L",
        panel=_DATA,
        metavar="N|0.x[:random]",
        help="First N documents a task, or that share; with :random a seeded draw.",
    ),
]
LimitRandom = Annotated[bool | None, _flag("--limit-random", panel=_DATA, help="Let --limit draw at random (seeded).")]
DataDir = Annotated[
    Path | None, _flag("--data-dir", panel=_DATA, help="Mirror of data sets, made by `evalkit data pull`.")
]
BatchSize = Annotated[
    str | None, _flag("--batch-size", "-b", panel=_SPEED, metavar="N|auto", help="Rows a batch. [default: auto]")
]
MaxBatchSize = Annotated[str | None, _flag("--max-batch-size", panel=_SPEED, help="", hidden=True)]
SharePrefixes = Annotated[
    bool | None,
    _flag(
        "--share-prefixes/--no-share-prefixes",
        panel=_SPEED,
        help="Compute a prefix shared by prompts once. [default: yes]",
    ),
]
Overlength = Annotated[
    str | None,
    _flag(
        "--overlength",
        panel=_SPEED,
        metavar="truncate|skip|error",
        help="Prompts over the context window. [default: truncate]",
    ),
]
Cache = Annotated[Path | None, _flag("--cache", panel=_SPEED, help="Folder of answers shared between runs.")]
Executor = Annotated[
    str | None, _flag("--executor", panel=_SPEED, metavar="local|ray", help="Where the model runs. [default: local]")
]
Replicas = Annotated[int | None, _flag("--replicas", panel=_SPEED, help="Copies of the model. [default: 1]")]
GpusPerReplica = Annotated[
    float | None, _flag("--gpus-per-replica", panel=_SPEED, help="GPUs of each copy. [default: 0]")
]
RayAddress = Annotated[str | None, _flag("--ray-address", panel=_SPEED, help="Address of a Ray cluster.")]
MaxMemory = Annotated[
    float | None, _flag("--max-memory", panel=_SPEED, metavar="GB", help="Memory the engine may plan with.")
]
Output = Annotated[
    Path | None,
    _flag(
        "--output",
        "-o",
        panel=_OUT,
        help="Run directory; the same command again continues it. [default: runs/<time>-<model>-<hash>]",
    ),
]
Resume = Annotated[Path | None, _flag("--resume", panel=_OUT, metavar="RUN_DIR", help="Continue an interrupted run.")]
LogSamples = Annotated[
    bool | None, _flag("--log-samples", "-s", panel=_OUT, help="Write samples as JSONL beside the Parquet files.")
]
MaxErrorRate = Annotated[
    float | None,
    _flag(
        "--max-error-rate",
        panel=_OUT,
        help="Share of items that may fail before the run counts as failed. [default: 0]",
    ),
]
Config = Annotated[
    Path | None,
    _flag("--config", "-C", panel=_OUT, help="YAML file with these settings, or a matrix of models and tasks."),
]
AsJson = Annotated[bool, _flag("--json", panel=_OUT, help="Results as JSON on stdout.")]
Quiet = Annotated[bool, _flag("--quiet", "-q", panel=_OUT, help="No plan and no progress.")]
