"""What a user asks for, validated: built once by the command line or a YAML file, then carried through unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from evalkit.spec.strict import Strict

Quant = Literal["int8", "nf4", "fp4", "int8wo", "int4wo", "int8da"]
DEFAULT_MODEL = "smollm2-135m"
"""What runs where no model was named."""
PROMPT_LOOKUP_TOKENS = 10
"""Guessed tokens of --prompt-lookup without a number."""


class Given(Strict):
    """The record of a model or task that was handed over as a Python object: it cannot be found again by its name."""

    type: str
    """The object's class, "module.Class"."""
    fingerprint: str | None = None
    """Of a model: all that can change an answer, by its own word (`ModelInfo.fingerprint`)."""

    def missing(self, what: str) -> str:
        """The line for those who have the record and not the object."""
        return (
            f"{what} of this run was given as an object ({self.type}): only a program that has it can go on: "
            "evalkit.evaluate(model, tasks, output=..., resume=True)"
        )


class ModelSpec(Strict):
    """Which model, and how it is loaded and prompted."""

    name: str
    """Hub id, local folder, .gguf file, "predictions:FILE", or a name from `evalkit models list`."""
    backend: str | None = None
    """A name of the registry's backends; None: chosen from ``name``."""
    args: dict[str, Any] = Field(default_factory=dict)
    """Backend arguments (lm-eval's --model_args), for example {"max_length": 2048}."""
    dtype: str = "auto"
    device: str = "auto"
    revision: str | None = None
    max_length: int | None = Field(default=None, gt=0)
    add_bos: bool | None = None
    """Prepend the BOS token; None: as the tokenizer does by itself."""
    chat_template: bool | str = False
    system: str | None = None
    fewshot_as_multiturn: bool = True
    quant: Quant | None = None
    """Quantize while loading: bitsandbytes' int8, nf4, fp4; torchao's int8wo, int4wo, int8da."""
    peft: tuple[str, ...] = ()
    """Adapters, each PATH or PATH:WEIGHT; several are added up with their weights (1 where none is given)."""
    peft_merge: bool = False
    """Merge the adapters into the weights."""
    prompt_lookup: int | None = Field(default=None, ge=1)
    """Guess so many next tokens from the prompt and check them at once; the text stays that of greedy decoding."""
    draft: str | None = None
    """A smaller model with the same tokenizer that guesses the next tokens."""
    draft_tokens: int = Field(default=5, ge=1)
    allow_missing_weights: bool = False
    """Run a model whose files lack weights, hold others, or whose tokenizer does not fit; never cached."""
    label: str | None = None
    """Name in tables and reports; None: derived from ``name``."""
    given: Given | None = None
    """Set where a Backend object was given in place of a name (`evalkit.evaluate`); never a setting."""

    @field_validator("peft", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("prompt_lookup", mode="before")
    @classmethod
    def _switched_on(cls, value: Any) -> Any:
        return {True: PROMPT_LOOKUP_TOKENS, False: None}[value] if isinstance(value, bool) else value


class TaskSpec(Strict):
    """One entry of --tasks: a task, group or pattern, with its own overrides."""

    name: str
    num_fewshot: int | None = Field(default=None, ge=0)
    sample: bool = False
    limit: float | None = Field(default=None, gt=0)
    given: Given | None = None
    """Set where a Task object was given in place of a name (`evalkit.evaluate`); never a setting."""


class EngineSpec(Strict):
    """How requests are answered; nothing here may change an answer beyond rounding."""

    batch_size: int | Literal["auto"] = "auto"
    share_prefixes: bool = True
    overlength: Literal["truncate", "skip", "error"] = "truncate"
    executor: Literal["local", "ray"] = "local"
    replicas: int = Field(default=1, ge=1)
    gpus_per_replica: float = Field(default=0, ge=0)
    ray_address: str | None = None
    cache: Path | None = None
    max_memory_gb: float | None = Field(default=None, gt=0)

    @field_validator("batch_size")
    @classmethod
    def _positive(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError("must be a positive number or auto")
        return value


class RunSpec(Strict):
    """One run: one model on a list of tasks."""

    model: ModelSpec
    tasks: tuple[TaskSpec, ...] = Field(min_length=1)
    num_fewshot: int | None = Field(default=None, ge=0)
    limit: float | None = Field(default=None, gt=0)
    """Documents a task: a count, or below 1 a share (rounded up)."""
    limit_random: bool = False
    """Take a seeded random subset instead of the first documents."""
    sample: bool = False
    seed: int = 1234
    gen_kwargs: dict[str, Any] = Field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    """Metrics beside the tasks' own ("ece", "evaluate:NAME"); each goes to the tasks of its kind."""
    data_dir: Path | None = None
    include_path: tuple[Path, ...] = ()
    engine: EngineSpec = EngineSpec()
    output: Path | None = None
    log_samples: bool = False
    """Write samples as JSONL beside the Parquet files."""
    max_error_rate: float = Field(default=0.0, ge=0, le=1)
