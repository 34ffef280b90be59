"""What is done to a generated text before it is scored: named steps, applied in order.

The steps that lm-evaluation-harness also has do exactly what its own do (lm_eval/filters, 0.4.13).
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evalkit.errors import UserError

Filter = Callable[[str], str]
Step = str | Mapping[str, Any]
"""A step's name, or {function: NAME, ...arguments}."""


def build(steps: Step | Sequence[Step]) -> Filter:
    """One function from a step or a list of steps. UserError names an unknown step, argument or a malformed pattern."""
    if isinstance(steps, str | Mapping):
        steps = [steps]
    chain = [_build_step(step) for step in steps]

    def apply(text: str) -> str:
        for function in chain:
            text = function(text)
        return text

    return apply


def regex(regex_pattern: str = r"#### (\-?[0-9\.\,]+)", group_select: int = 0, fallback: str = "[invalid]") -> Filter:
    """The ``group_select``-th match of the pattern (-1: the last), stripped; ``fallback`` where there is none.

    With several groups it is the first one of the match that is not empty.
    """
    try:
        pattern = re.compile(regex_pattern)
    except re.error as error:
        raise UserError(f"filter regex: the pattern {regex_pattern!r} is malformed: {error}") from error

    def extract(text: str) -> str:
        matches = pattern.findall(text)
        if not -len(matches) <= group_select < len(matches):
            return fallback
        match = matches[group_select]
        if isinstance(match, tuple):
            match = next((group for group in match if group), fallback)
        return match.strip()

    return extract


def map_text(mapping_dict: Mapping[str, str], default_value: str = "") -> Filter:
    """A fixed table of texts, and what stands for any other."""
    table = dict(mapping_dict)
    return lambda text: table.get(text, default_value)


def _plain(function: Filter) -> Callable[[], Filter]:
    """A step without arguments."""
    return lambda: function


def _unchanged(text: str) -> str:
    return text


_STEPS: Mapping[str, Callable[..., Filter]] = {
    "none": _plain(_unchanged),
    # An answer here is one text; choosing among repeated samples is the task's work.
    "take_first": _plain(_unchanged),
    "remove_whitespace": _plain(str.strip),
    "strip": _plain(str.strip),
    "lowercase": _plain(str.lower),
    "uppercase": _plain(str.upper),
    "regex": regex,
    "map": map_text,
}


def _build_step(step: Step) -> Filter:
    if isinstance(step, str):
        name, args = step, {}
    else:
        args = dict(step)
        name = str(args.pop("function", ""))
        args.update(args.pop("args", None) or {})
    factory = _STEPS.get(name)
    if factory is None:
        near = difflib.get_close_matches(name, _STEPS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(sorted(_STEPS))}"
        raise UserError(f"unknown filter {name!r}: {hint}")
    try:
        inspect.signature(factory).bind(**args)
    except TypeError as error:
        raise UserError(f"filter {name}: {error}; its arguments are {inspect.signature(factory)}") from error
    return factory(**args)
