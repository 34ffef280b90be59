"""Everything that a run can be told beside model and tasks: the settings of `evalkit run`, as keyword arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TypedDict

from evalkit.contract.errors import UserError
from evalkit.spec import config

if TYPE_CHECKING:
    from evalkit.spec.models import RunSpec


class ModelSettings(TypedDict, total=False):
    """How a model is loaded; none of it applies to a Backend object, which is loaded."""

    model_args: str | Mapping[str, Any]
    backend: str
    dtype: str
    device: str
    revision: str
    max_length: int
    add_bos: bool
    quant: str
    peft: str | Sequence[str]
    peft_merge: bool
    prompt_lookup: int | bool
    price: str | Mapping[str, float]
    max_cost: float
    draft: str
    draft_tokens: int
    allow_missing_weights: bool


class Settings(ModelSettings, total=False):
    """The keywords of `evalkit.evaluate` beside those that it names itself; docs/run.md tells what each means."""

    label: str
    chat_template: bool | str
    chat_template_args: str | Mapping[str, Any]
    enable_thinking: bool
    think_start: str
    think_end: str
    system: str
    fewshot_as_multiturn: bool
    bundled: bool
    sample: bool
    limit_random: bool
    gen_kwargs: str | Mapping[str, Any]
    metrics: str | Sequence[str]
    seed: int
    include_path: str | Path | Sequence[str | Path]
    comet_python: str
    batch_size: int | str
    share_prefixes: bool
    overlength: str
    executor: str
    replicas: int
    gpus_per_replica: float
    ray_address: str
    max_memory: float
    max_memory_gb: float
    log_samples: bool
    predict_only: bool
    allow_code_execution: bool
    samples: str | Mapping[str, Sequence[int | str]]
    log_to: str | Sequence[str]
    max_error_rate: float


class Keywords(config.Origin):
    """Settings that came as keyword arguments, so that an error names the keyword."""

    def name(self, path: config.Keys) -> str:
        """ "limit=", or "tasks[2].num_fewshot="."""
        path = (self.written.get(str(path[0]), path[0]), *path[1:]) if path else path
        parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path]
        return f"{''.join(parts).removeprefix('.')}=" if parts else "evaluate"


def by_key(settings: Mapping[str, Any]) -> tuple[dict[str, Any], Keywords]:
    """Keyword settings by their keys, None standing for one that is not given; and what names them in errors."""
    if "models" in settings:
        raise UserError("models=: one call evaluates one model: call it once for each")
    given = {key: _plain(value) for key, value in settings.items() if value is not None}
    return config.by_key(given, Keywords()), Keywords(written=config.spellings(given))


def run_spec(settings: Mapping[str, Any]) -> RunSpec:
    """One run of keyword settings. Raises UserError for a mistake."""
    (spec,) = config.expand(*by_key(settings))
    return spec


def _plain(value: Any) -> Any:
    """Tuples as the lists that a file would hold, paths as its texts."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, PurePath) else value
