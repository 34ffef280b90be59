"""What stands around the numbers: counters, model, environment, specification, command; as texts side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evalkit.contract.types import RunResult
from evalkit.text import numbers

Facts = tuple[tuple[str, tuple[str, ...]], ...]
"""Rows of a name and one text a run."""


def side_by_side(mappings: Sequence[Mapping[str, Any]], write: Callable[[str, Any], str]) -> Facts:
    """Rows (name, one text a run) over the union of the nested names."""
    flat = [dict(numbers.flatten(mapping)) for mapping in mappings]
    paths = dict.fromkeys(path for one in flat for path in one)
    return tuple(
        (" › ".join(path), tuple(write(".".join(path), one[path]) if path in one else numbers.MISSING for one in flat))
        for path in paths
    )


def plain(_name: str, value: Any) -> str:
    """Any value as one line."""
    if value is None or value == {} or value == []:
        return numbers.MISSING
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(item) for item in value)
    return str(value)


def as_yaml(values: Mapping[str, Any]) -> str:
    """Plain values as YAML."""
    import yaml

    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=100)


def command(result: RunResult) -> str:
    """The command that made the run, as the environment records it, else one that asks for the same."""
    import shlex

    recorded = result.environment.get("command")
    if isinstance(recorded, str) and recorded:
        return recorded
    if isinstance(recorded, Sequence) and recorded:
        return shlex.join(str(word) for word in recorded)
    spec = result.spec
    words = ["evalkit", "run", "--model", str((spec.get("model") or {}).get("name", ""))]
    words += ["--tasks", ",".join(str(task.get("name", "")) for task in spec.get("tasks") or ())]
    for flag in ("num_fewshot", "limit", "seed"):
        if spec.get(flag) is not None:
            words += [f"--{flag.replace('_', '-')}", str(spec[flag])]
    if spec.get("sample"):
        words.append("--bundled")
    return shlex.join(words)
