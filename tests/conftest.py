"""Fixtures of tests on the real model and the mirror of data sets; where these are absent, tests skip and say why."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest_plugins = ["differences", "needs"]

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before torch is imported: workers beside each other with threads for all cores wait at every barrier.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


# readline, which pytest imports, puts the size of a terminal into the environment of workers: tables are to be as wide
# in tests as in pipes.
for _name in ("COLUMNS", "LINES"):
    os.environ.pop(_name, None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engines",
        default="shared-auto",
        help="engine settings of the parity tests: all, or some of tests/parity/engines.py, joined by commas",
    )


_frozen = 0
"""Modules that were imported when the garbage collector last put what there is aside."""


def _freeze() -> None:
    """Put all objects that live now aside, if many came with new packages.

    A run collects garbage before it measures memory, twice; the suite's own hundreds of thousands of objects, of tests
    and packages, would be looked through each time.
    """
    global _frozen
    if len(sys.modules) - _frozen > 200:
        gc.collect()
        gc.freeze()
        _frozen = len(sys.modules)


def pytest_collection_finish() -> None:
    _freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    yield
    if nextitem is not None and nextitem.path != item.path:
        _freeze()


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
