"""Graders by name, as metrics and commands ask for them, and what records say of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from evalkit.contract import registry
from evalkit.contract.errors import UserError
from evalkit.contract.grading import Grader, HarmGrader, RefusalGrader
from evalkit.probes.grading.measured import measured

DEFAULT = "lexical"
REFUSAL_DEFAULT = "opening"


def grader(name: str, args: Mapping[str, Any]) -> Grader:
    """The grader ``name``, made of ``args``; the last few are kept. UserError for an unknown name or argument."""
    found: Grader = _made(registry.GRADERS, name, json.dumps(dict(args), sort_keys=True))
    return found


@lru_cache(maxsize=4)
def _made(group: str, name: str, args: str) -> Any:
    return registry.load(group, name)(json.loads(args))


def refusal_grader(args: Mapping[str, Any]) -> RefusalGrader:
    """Of a metric's ``args: {grader: NAME, ARGUMENT: ...}``; the paper's rule where none is named. UserError for an
    unknown name or argument.
    """
    found: RefusalGrader = _of(registry.REFUSAL_GRADERS, args, REFUSAL_DEFAULT)
    return found


def harm_grader(args: Mapping[str, Any]) -> HarmGrader:
    """The same of harm; there is none by default: UserError where none is named."""
    found: HarmGrader = _of(registry.HARM_GRADERS, args, None)
    return found


def _of(group: str, args: Mapping[str, Any], default: str | None) -> Any:
    name = args.get("grader", default)
    if not isinstance(name, str):
        said = "which grader?" if name is None else f"grader is {name!r};"
        raise UserError(f"{said} give one of {', '.join(registry.names(group))} (grader)")
    given = {key: value for key, value in args.items() if key not in ("grader", "only", "classes")}
    return _made(group, name, json.dumps(given, sort_keys=True))


def of_metric(args: Mapping[str, Any]) -> Grader:
    """The grader of a metric's ``args: {grader: NAME, ARGUMENT: ...}``; lexical where none is named."""
    given = {key: value for key, value in args.items() if key not in ("grader", "only")}
    return grader(str(args.get("grader", DEFAULT)), given)


def prepare(args: Mapping[str, Any]) -> None:
    """UserError before a run for a grader that cannot grade."""
    if not isinstance(args.get("grader", DEFAULT), str):
        raise UserError(f"grader is {args['grader']!r}; give one of {', '.join(registry.names(registry.GRADERS))}")
    of_metric(args)


def told(identity: str) -> str:
    """For a signature: by which grader, and the kappa that it was measured at."""
    known = measured(identity)
    if known is None:
        return f"grader:{identity}|kappa:not validated"
    low, high = known.kappa_interval or (None, None)
    span = "" if low is None else f" [{low:.2f} to {high:.2f}]"
    kappa = "undefined" if known.kappa is None else f"{known.kappa:.2f}"
    return f"grader:{identity}|kappa:{kappa}{span} on {'+'.join(known.sets)}"
