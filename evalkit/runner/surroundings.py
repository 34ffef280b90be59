"""What a run takes from environment variables, made part of its spec: a resumed run then needs them no more."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from evalkit.data.sources import mirror_folder
from evalkit.metrics import comet
from evalkit.sandbox import permission
from evalkit.spec.models import RunSpec
from evalkit.spec.naming import default_output
from evalkit.spec.option import COMET_PYTHON

P = ParamSpec("P")
T = TypeVar("T")


def resolved(run: Callable[Concatenate[RunSpec, P], T]) -> Callable[Concatenate[RunSpec, P], T]:
    """``run`` with everything in its spec that stood outside it: what variables say, and the folder it goes to."""

    @wraps(run)
    def within(spec: RunSpec, *args: P.args, **more: P.kwargs) -> T:
        spec = with_environment(spec.model_copy(update={"output": spec.output or default_output(spec)}))
        with comet.asked_in(spec.comet_python), permission.given(spec.allow_code_execution):
            return run(spec, *args, **more)

    return within


def with_environment(spec: RunSpec) -> RunSpec:
    """``spec`` with the folder of EVALKIT_DATA_DIR, the Python of EVALKIT_COMET_PYTHON and, for Ray, the address of
    RAY_ADDRESS, where it says nothing. What other variables do: docs/files.md.
    """
    python = spec.comet_python or os.environ.get(COMET_PYTHON) or None
    changed: dict[str, object] = {"data_dir": mirror_folder(spec.data_dir), "comet_python": python}
    address = os.environ.get("RAY_ADDRESS")
    if address and spec.engine.executor == "ray" and spec.engine.ray_address is None:
        changed["engine"] = spec.engine.model_copy(update={"ray_address": address})
    return spec.model_copy(update=changed)
