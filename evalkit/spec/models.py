"""What a user asks for, validated: built once by the command line or a YAML file, then carried through unchanged.

Every field carries an `Option`, of which the command line, the YAML keys and the rules of resuming are made.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from evalkit.spec import values
from evalkit.spec.common import BUNDLED, LIMIT, SHOTS
from evalkit.spec.given import Given
from evalkit.spec.option import COMET_PYTHON, DATA_DIR, DOCUMENTS, MODEL, OUTPUT, SPEED, TASKS, Option
from evalkit.spec.paying import MaxCost, Price
from evalkit.spec.strict import Strict

Quant = Literal["int8", "nf4", "fp4", "int8wo", "int4wo", "int8da", "hqq4"]
DEFAULT_MODEL = "smollm2-135m"
"""What runs where no model was named."""
PROMPT_LOOKUP_TOKENS = 10
"""Guessed tokens of --prompt-lookup without a number."""


class ModelSpec(Strict):
    """Which model, and how it is loaded and prompted."""

    name: Annotated[
        str,
        Option(
            "Hub id, folder, .gguf file, PROVIDER/MODEL, predictions:FILE, or a name from `evalkit models list`; "
            "or a backend's name with pretrained=... in --model-args.",
            MODEL,
            name="model",
            short="-M",
            default=DEFAULT_MODEL,
        ),
    ]
    """Hub id, local folder, .gguf file, "predictions:FILE", or a name from `evalkit models list`."""
    args: Annotated[
        dict[str, Any],
        Option(
            "Arguments of the backend.",
            MODEL,
            name="model_args",
            short="-a",
            aliases=("args",),
            metavar="K=V,...",
            read=values.key_values,
            joined=True,
        ),
    ] = Field(default_factory=dict)
    """Backend arguments (lm-eval's --model_args), for example {"max_length": 2048}."""
    backend: Annotated[
        str | None,
        Option("hf, mock, predictions, or one of a plugin.", MODEL, default="chosen from the model"),
    ] = None
    """A name of the registry's backends; None: chosen from ``name``."""
    dtype: Annotated[str, Option("float32, bfloat16, float16 or auto.", MODEL, model_arg="dtype")] = "auto"
    device: Annotated[str, Option("cpu, cuda, cuda:1, mps or auto.", MODEL, model_arg="device")] = "auto"
    revision: Annotated[str | None, Option("Commit, tag or branch on the Hub.", MODEL, model_arg="revision")] = None
    max_length: Annotated[
        int | None, Option("Context window in tokens.", MODEL, default="the model's", model_arg="max_length")
    ] = Field(default=None, gt=0)
    add_bos: Annotated[
        bool | None,
        Option(
            "Begin prompts with the BOS token, or never.",
            MODEL,
            aliases=("add_bos_token",),
            default="as the tokenizer does by itself",
            model_arg="add_bos_token",
        ),
    ] = None
    """Prepend the BOS token; None: as the tokenizer does by itself."""
    chat_template: Annotated[
        bool | str,
        Option(
            "Prompt as a conversation, by the model's template (or the one called NAME).",
            TASKS,
            aliases=("apply_chat_template",),
            metavar="[NAME]",
            read=values.template,
            bare="true",
        ),
    ] = False
    chat_template_args: Annotated[
        dict[str, Any],
        Option(
            "Variables of the chat template; a server is sent them as chat_template_kwargs.",
            TASKS,
            aliases=("chat_template_kwargs",),
            metavar="K=V,...",
            read=values.key_values,
            joined=True,
            model_arg="chat_template_args",
        ),
    ] = Field(default_factory=dict)
    """Variables of the chat template, by name."""
    enable_thinking: Annotated[
        bool | None,
        Option(
            "The chat template's variable of this name: think before the answer, or do not.",
            TASKS,
            metavar="[BOOL]",
            bare="true",
            default="as the template does by itself",
            model_arg="enable_thinking",
        ),
    ] = None
    think_start: Annotated[
        str | None,
        Option(
            "What begins a thought, which is no part of the answer.",
            TASKS,
            default="as the chat template has it, else <think>",
            model_arg="think_start_token",
        ),
    ] = None
    think_end: Annotated[
        str | None,
        Option(
            "What ends a thought; stop strings count behind it.",
            TASKS,
            aliases=("think_end_token",),
            default="as the chat template has it, else </think>",
            model_arg="think_end_token",
        ),
    ] = None
    system: Annotated[str | None, Option("System message or leading text.", TASKS, aliases=("system_instruction",))] = (
        None
    )
    fewshot_as_multiturn: Annotated[
        bool, Option("With a chat template: examples as turns.", TASKS, metavar="[BOOL]", bare="true")
    ] = True
    quant: Annotated[
        Quant | None,
        Option(
            "Quantize while loading: int8, nf4, fp4 (bitsandbytes); int8wo, int4wo, int8da (torchao); hqq4 (hqq).",
            MODEL,
            metavar="METHOD",
        ),
    ] = None
    """Quantize while loading: bitsandbytes' int8, nf4, fp4; torchao's int8wo, int4wo, int8da; hqq's hqq4."""
    peft: Annotated[
        tuple[str, ...],
        Option(
            "Adapters (LoRA, IA3, prefix, prompt tuning, ...); several are added up with their weights.",
            MODEL,
            metavar="PATH[:WEIGHT],...",
        ),
    ] = ()
    """Adapters, each PATH or PATH:WEIGHT; several are added up with their weights (1 where none is given)."""
    peft_merge: Annotated[bool, Option("Merge the adapters into the weights.", MODEL)] = False
    """Merge the adapters into the weights."""
    prompt_lookup: Annotated[
        int | None,
        Option(
            "Guess N tokens from the prompt and check them at once; same text as greedy. "
            f"Without N: {PROMPT_LOOKUP_TOKENS}.",
            MODEL,
            metavar="[N]",
            bare=str(PROMPT_LOOKUP_TOKENS),
            free=True,
        ),
    ] = Field(default=None, ge=1)
    """Guess so many next tokens from the prompt and check them at once; the text stays that of greedy decoding."""
    draft: Annotated[
        str | None, Option("Smaller model that guesses the next tokens.", MODEL, metavar="MODEL", free=True)
    ] = None
    """A smaller model with the same tokenizer that guesses the next tokens."""
    draft_tokens: Annotated[int, Option("Tokens that the draft guesses at a time.", MODEL, free=True)] = Field(
        default=5, ge=1
    )
    allow_missing_weights: Annotated[
        bool,
        Option("Run a model whose files lack weights or whose tokenizer does not fit; recorded, never cached.", MODEL),
    ] = False
    """Run a model whose files lack weights, hold others, or whose tokenizer does not fit; never cached."""
    price: Price = Field(default_factory=dict)
    max_cost: MaxCost = Field(default=None, gt=0)
    label: Annotated[str | None, Option("Name in tables and folders.", MODEL, free=True)] = None
    """Name in tables and reports; None: derived from ``name``."""
    given: Given | None = None
    """Set where a Backend object was given in place of a name (`evalkit.evaluate`); never a setting."""

    @field_validator("peft", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return values.words(value) if isinstance(value, str) else value

    @field_validator("prompt_lookup", mode="before")
    @classmethod
    def _switched_on(cls, value: Any) -> Any:
        return {True: PROMPT_LOOKUP_TOKENS, False: None}[value] if isinstance(value, bool) else value


class TaskSpec(Strict):
    """One entry of --tasks: a task, group or pattern, with its own overrides."""

    name: str
    num_fewshot: Annotated[int | None, SHOTS] = Field(default=None, ge=0)
    sample: Annotated[bool, BUNDLED] = False
    """Bundled items in place of the data set."""
    limit: Annotated[float | None, LIMIT] = Field(default=None, gt=0)
    data: Annotated[Path | None, Option("File of rows that the task asks about.", TASKS, metavar="FILE")] = None
    """A file of rows; then the entry is a task of its own, by the settings below."""
    prompt: Annotated[str | None, Option("Template of the prompt over the file's columns.", TASKS)] = None
    target: Annotated[
        str | int | None, Option("Template of the right answer; with choices, of its number or text.", TASKS)
    ] = None
    choices: Annotated[
        str | tuple[str, ...] | None, Option("The answers to choose from: a list, or a template of one.", TASKS)
    ] = None
    metrics: Annotated[tuple[str, ...], Option("Metrics of a task of one's own file.", TASKS)] = ()
    given: Given | None = None
    """Set where a Task object was given in place of a name (`evalkit.evaluate`); never a setting."""


class EngineSpec(Strict):
    """How requests are answered; nothing here may change an answer beyond rounding."""

    batch_size: Annotated[
        int | Literal["auto"],
        Option(
            "Rows a batch.",
            SPEED,
            short="-b",
            metavar="N|auto",
            advice="a positive number or auto",
            read=values.batch_size,
            free=True,
        ),
    ] = "auto"
    share_prefixes: Annotated[bool, Option("Compute a prefix shared by prompts once.", SPEED, free=True)] = True
    overlength: Annotated[Literal["truncate", "skip", "error"], Option("Prompts over the context window.", SPEED)] = (
        "truncate"
    )
    cache: Annotated[
        Path | None, Option("Folder of answers shared between runs.", SPEED, aliases=("use_cache",), free=True)
    ] = None
    executor: Annotated[Literal["local", "ray"], Option("Where the model runs.", SPEED, free=True)] = "local"
    replicas: Annotated[int, Option("Copies of the model.", SPEED, free=True)] = Field(default=1, ge=1)
    gpus_per_replica: Annotated[float, Option("GPUs of each copy.", SPEED, free=True)] = Field(default=0, ge=0)
    ray_address: Annotated[str | None, Option("Address of a Ray cluster.", SPEED, free=True)] = None
    max_memory_gb: Annotated[
        float | None,
        Option(
            "Memory the engine may plan with.",
            SPEED,
            name="max_memory",
            aliases=("max_memory_gb",),
            metavar="GB",
            free=True,
        ),
    ] = Field(default=None, gt=0)

    @field_validator("batch_size")
    @classmethod
    def _positive(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError("must be a positive number or auto")
        return value


class RunSpec(Strict):
    """One run: one model on a list of tasks."""

    model: ModelSpec
    tasks: Annotated[
        tuple[TaskSpec, ...],
        Option(
            "Tasks, groups or patterns (mmlu_*); NAME@5shot; NAME@bundled; lm_eval:NAME.",
            TASKS,
            short="-t",
            metavar="A,B,...",
            joined=True,
        ),
    ] = Field(min_length=1)
    num_fewshot: Annotated[int | None, SHOTS] = Field(default=None, ge=0)
    sample: Annotated[bool, BUNDLED] = False
    """Bundled items in place of the data sets."""
    limit: Annotated[float | None, LIMIT] = Field(default=None, gt=0)
    """Documents a task: a count, or below 1 a share (rounded up)."""
    samples: Annotated[
        dict[str, tuple[int | str, ...]],
        Option(
            "Documents by task: {TASK: [numbers or hashes]} as JSON, or .jsonl lines with task and doc_id or doc_hash "
            "(as of evalkit prompts export).",
            DOCUMENTS,
            short="-E",
            metavar="FILE|JSON",
            read=values.chosen_samples,
        ),
    ] = Field(default_factory=dict)
    """Documents by task, each by its number in the split or by its hash (eight digits or more)."""
    predict_only: Annotated[
        bool, Option("Ask and keep the answers, without scoring them; evalkit rescore does.", OUTPUT, free=True)
    ] = False
    """Ask without scoring."""
    allow_code_execution: Annotated[
        bool,
        Option(
            "Run the programs that a model writes, in a sandbox (docs/security.md), where tasks test them.",
            TASKS,
            aliases=("confirm_run_unsafe_code",),
            free=True,
        ),
    ] = False
    """Tasks that test generated programs are refused without it."""
    limit_random: Annotated[bool, Option("Let --limit draw at random (seeded).", DOCUMENTS)] = False
    """Take a seeded random subset instead of the first documents."""
    gen_kwargs: Annotated[
        dict[str, Any],
        Option(
            "Generation settings: temperature, top_p, max_gen_toks, until, ...",
            TASKS,
            metavar="K=V,...",
            read=values.key_values,
            joined=True,
        ),
    ] = Field(default_factory=dict)
    metrics: Annotated[
        tuple[str, ...],
        Option(
            "Metrics beside the tasks' own, where they fit: ece, rouge1, evaluate:NAME, ... (docs/metrics.md)",
            TASKS,
            metavar="A,B,...",
            read=values.listed,
            free=True,
        ),
    ] = ()
    """Metrics beside the tasks' own ("ece", "evaluate:NAME"); each goes to the tasks of its kind."""
    seed: Annotated[
        int,
        Option(
            "Of few-shot draws, subsets and sampling; lm_eval's four seeds are understood.", TASKS, read=values.seed
        ),
    ] = 1234
    include_path: Annotated[
        tuple[Path, ...],
        Option("Folder with more task definitions (may be repeated).", TASKS, read=values.single, repeated=True),
    ] = ()
    data_dir: Annotated[
        Path | None, Option("Mirror of data sets, made by `evalkit data pull`.", DOCUMENTS, env=DATA_DIR, free=True)
    ] = None
    """Free on resume, because every prompt is known by its content: other documents would be other requests, never
    other answers.
    """
    comet_python: Annotated[
        str | None,
        Option("Python that has unbabel-comet, for the metric comet.", TASKS, env=COMET_PYTHON, free=True),
    ] = None
    engine: EngineSpec = Field(default_factory=EngineSpec)
    output: Annotated[
        Path | None,
        Option(
            "Run directory; the same command again continues it.",
            OUTPUT,
            short="-o",
            aliases=("output_path",),
            default="runs/<time>-<model>-<hash>",
            free=True,
        ),
    ] = None
    log_samples: Annotated[
        bool, Option("Write samples as JSONL beside the Parquet files.", OUTPUT, short="-s", free=True)
    ] = False
    """Write samples as JSONL beside the Parquet files."""
    log_to: Annotated[
        tuple[str, ...],
        Option(
            "Send the numbers there when the run has ended: wandb:PROJECT, mlflow:URI, trackio:PROJECT, "
            "tensorboard:FOLDER, csv:FILE, hub:ORG/NAME (may be repeated).",
            OUTPUT,
            metavar="PLACE[:WHERE]",
            read=values.single,
            repeated=True,
            free=True,
        ),
    ] = ()
    """Where the run's numbers go when it has ended (`evalkit.publish.sinks`)."""
    max_error_rate: Annotated[
        float,
        Option(
            "Share of items that may fail before the run counts as failed.",
            OUTPUT,
            advice="a share between 0 and 1",
            free=True,
        ),
    ] = Field(default=0.0, ge=0, le=1)
