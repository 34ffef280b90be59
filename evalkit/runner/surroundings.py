"""What a run takes from environment variables, made part of its spec: a resumed run then needs them no more."""

from __future__ import annotations

import os

from evalkit.data.sources import mirror_folder
from evalkit.spec.models import RunSpec


def with_environment(spec: RunSpec) -> RunSpec:
    """``spec`` with the folder of EVALKIT_DATA_DIR and, for Ray, the address of RAY_ADDRESS, where it says nothing."""
    changed: dict[str, object] = {"data_dir": mirror_folder(spec.data_dir)}
    address = os.environ.get("RAY_ADDRESS")
    if address and spec.engine.executor == "ray" and spec.engine.ray_address is None:
        changed["engine"] = spec.engine.model_copy(update={"ray_address": address})
    return spec.model_copy(update=changed)
