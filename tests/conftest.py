"""Fixtures of tests on the real model and the mirror of data sets; where these are absent, tests skip and say why."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest_plugins = ["differences", "needs"]

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before torch is imported: workers beside each other with threads for all cores wait at every barrier.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engines",
        default="shared-auto",
        help="engine settings of the parity tests: all, or some of tests/parity/engines.py, joined by commas",
    )


@pytest.fixture(scope="session")
def smollm2_folder() -> Path:
    """The real model SmolLM2-135M-Instruct in transformers' layout, dequantized once into the cache."""
    from evalkit.backends.hf.local_files import local_folder
    from evalkit.contract.errors import UserError
    from evalkit.spec.models import ModelSpec

    try:
        folder = local_folder(ModelSpec(name="smollm2-135m"))
    except UserError as error:
        pytest.skip(str(error))
    assert folder is not None
    return folder


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder with the mirror of data sets."""
    folder = os.environ.get("EVALKIT_DATA_DIR")
    if not folder:
        pytest.skip("EVALKIT_DATA_DIR is not set: it names the folder with the mirror of data sets")
    if not Path(folder).is_dir():
        pytest.skip(f"EVALKIT_DATA_DIR names no folder: {folder}")
    return Path(folder)
