"""What graders were measured at: the shipped record, and what `evalkit judge validate` found on this machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.statistics.inference import Range
from evalkit.store import paths
from evalkit.text.reading import Malformed, parse_json, read_text

SHIPPED = Path(__file__).with_name("measured.json")


@dataclass(frozen=True, slots=True)
class Measured:
    """A grader's agreement with people: Cohen's kappa with its interval, the mean over ``sets`` of ``n`` texts."""

    kappa: float | None
    kappa_interval: Range | None
    sets: tuple[str, ...]
    n: int


def measured(identity: str) -> Measured | None:
    """What is known of the grader of this identity: measured here, else as shipped; None where it is not validated."""
    own = _file(identity)
    record = _read(own) if own.is_file() else _shipped().get(identity)
    if not isinstance(record, Mapping):
        return None
    span = record.get("kappa_interval")
    return Measured(record.get("kappa"), (span[0], span[1]) if span else None, tuple(record["sets"]), record["n"])


def keep(identity: str, found: Measured) -> Path:
    """Remember a validation on this machine. UserError where it cannot be written."""
    path = _file(identity)
    record = {
        "identity": identity,
        "kappa": found.kappa,
        "kappa_interval": found.kappa_interval,
        "sets": found.sets,
        "n": found.n,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}; set EVALKIT_CACHE to another folder") from None
    return path


def _file(identity: str) -> Path:
    return paths.cache_dir() / "graders" / f"{hashlib.sha256(identity.encode()).hexdigest()[:16]}.json"


def _read(path: Path) -> Any:
    try:
        return parse_json(read_text(path, "grader's record"))
    except Malformed as error:
        raise UserError(f"{path}: no JSON ({error.reason}); delete it, and validate the grader again") from None


@lru_cache(maxsize=1)
def _shipped() -> Mapping[str, Any]:
    found: Mapping[str, Any] = _read(SHIPPED)
    return found
