"""What runs and their folders are called."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from evalkit.spec.models import ModelSpec, RunSpec

ROOT = Path("runs")


def model_label(model: ModelSpec) -> str:
    """A model's short name, safe as a folder's name: its label, else the last part of its name."""
    name = model.label or model.name.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or "model"


def spec_hash(specs: Sequence[RunSpec]) -> str:
    """Eight hexadecimal digits that stand for what was asked (the output folder left out)."""
    asked = [spec.model_dump(mode="json", exclude={"output"}) for spec in specs]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]


def default_root(specs: Sequence[RunSpec]) -> Path:
    """Where a matrix of runs goes when no output was given: runs/<UTC time>-<hash>."""
    return ROOT / f"{_now()}-{spec_hash(specs)}"


def default_output(spec: RunSpec) -> Path:
    """Where one run goes when no output was given: runs/<UTC time>-<model label>-<hash>."""
    return ROOT / f"{_now()}-{model_label(spec.model)}-{spec_hash([spec])}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def task_name(path: Path) -> str:
    """The name of a task of one's own file: "my qa.jsonl.gz" is "my_qa"."""
    return re.sub(r"\W+", "_", path.name.partition(".")[0]).strip("_") or "data"
