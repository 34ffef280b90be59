"""The Berkeley Function-Calling Leaderboard's syntax-tree match (Patil et al. 2025, ICML; v4's ast_checker.py).

A call is right if its function, the required parameters and each given value are among the possible answers: texts
without case, spaces and ``,./-_*^``; lists item by item; objects key by key; "" among a parameter's answers says that
it may be left out. Types are checked as the function describes them, one level deep.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evalkit.metrics import bfcl_languages

PYTHON: Mapping[str, type] = {
    "string": str,
    "integer": int,
    "float": float,
    "boolean": bool,
    "array": list,
    "tuple": list,
    "dict": dict,
    "any": str,
}
_IGNORED = re.compile(r"[ ,./\-_*^]")
Called = Mapping[str, Mapping[str, Any]]
"""One call: {name: {parameter: value}}."""
Function = Mapping[str, Any]


def standard(text: str) -> str:
    """A text as it is compared."""
    return _IGNORED.sub("", text).lower().replace("'", '"')


def problem(
    functions: Sequence[Function],
    calls: Sequence[Called],
    answers: Sequence[Mapping[str, Mapping[str, Any]]],
    category: str,
) -> str | None:
    """Why the calls are wrong, or None where they are right. ``category``: "parallel" in it asks for several calls in
    any
    order, "java" and "javascript" for values in that language.
    """
    if len(calls) != len(answers):
        return f"{len(calls)} calls instead of {len(answers)}"
    language = next((one for one in ("javascript", "java") if one in category), "python")
    left = list(calls)
    for answer in answers:
        (expected,) = answer
        described = functions[0]
        if "parallel" in category or "multiple" in category:
            found = next((one for one in functions if one.get("name") == expected), None)
            if found is None:
                return f"{expected} is not described"
            described = found
        reasons = [_wrong(described, one, answer[expected], language) for one in left]
        if None not in reasons:
            return reasons[0] if len(reasons) == 1 else f"no call is the one of {expected} that is wanted"
        left.pop(reasons.index(None))
    return None


def _wrong(function: Function, call: Called, answer: Mapping[str, Any], language: str) -> str | None:
    """What is wrong with one call; what the official script breaks off at is wrong, too."""
    try:
        return _mismatch(function, call, answer, language)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        return f"not to be compared: {type(error).__name__}: {error}"


def _mismatch(function: Function, call: Called, answer: Mapping[str, Any], language: str) -> str | None:
    described = function["parameters"]
    if function["name"] not in call:
        return f"does not call {function['name']}"
    given = call[function["name"]]
    for name in described.get("required", ()):
        if name not in given:
            return f"lacks the parameter {name}"
    for name, value in given.items():
        if name not in described["properties"] or name not in answer:
            return f"has the parameter {name}"
        reason = _value_mismatch(described["properties"][name], value, answer[name], language)
        if reason is not None:
            return f"{name}: {reason}"
    for name, possible in answer.items():
        if name not in given and "" not in possible:
            return f"lacks the parameter {name}"
    return None


def _value_mismatch(described: Mapping[str, Any], value: Any, possible: Sequence[Any], language: str) -> str | None:
    kind = described["type"]
    nested: type | None = None
    if language == "python":
        expected = PYTHON[kind]
        if kind in ("array", "tuple"):
            nested = PYTHON[described["items"]["type"]]
        if kind == "tuple" and type(value) is tuple:
            value = list(value)
        if kind == "float" and type(value) is int:
            value = float(value)
    else:
        expected = bfcl_languages.TYPES[language][kind]
        if type(value) is not str:
            return f"is no {language} written as a text"
        inner = described["items"]["type"] if kind in bfcl_languages.NESTED else None
        nested = None if inner is None else bfcl_languages.TYPES[language][inner]
        value = bfcl_languages.READERS[language](value, kind, inner)
    fits, variable = _typed(value, possible, expected, nested)
    if not fits:
        return f"is no {kind}"
    check = _among if variable else _objects if nested is dict else _CHECKS.get(expected, _among)
    return None if check(value, possible) else "has another value"


def _typed(value: Any, possible: Sequence[Any], expected: type[Any], nested: type[Any] | None) -> tuple[bool, bool]:
    """(whether the type fits, whether the value stands for a variable): answers of another type than the description
    says are names of variables, and a value of the answers' own type fits.
    """
    first = next((type(one) for one in possible if one != ""), None)
    variable = first is not None and first is not expected
    if type(value) is expected:
        if nested is None:
            return True, variable
        for answer in possible:
            if type(answer) is not list or all(_typed(one, answer, nested, None)[0] for one in list(value)):
                return True, variable
        return False, False
    return first is not None and type(value) is first, True


def _among(value: Any, possible: Sequence[Any]) -> bool:
    return value in possible


def _text(value: str, possible: Sequence[Any]) -> bool:
    return standard(value) in [standard(one) for one in possible if type(one) is str]


def _standards(values: Sequence[Any]) -> list[Any]:
    return [standard(one) if type(one) is str else one for one in values]


def _list(value: Sequence[Any], possible: Sequence[Any]) -> bool:
    return _standards(value) in [_standards(one) for one in possible]


def _object(value: Mapping[str, Any], possible: Sequence[Any]) -> bool:
    for answer in possible:
        if answer == "":
            continue
        known = all(
            key in answer and (standard(one) if type(one) is str else one) in _standards(answer[key])
            for key, one in value.items()
        )
        if known and all(key in value or "" in one for key, one in answer.items()):
            return True
    return False


def _objects(value: Sequence[Any], possible: Sequence[Any]) -> bool:
    return any(
        len(value) == len(answer) and all(_object(one, [other]) for one, other in zip(value, answer, strict=True))
        for answer in possible
    )


_CHECKS: Mapping[type[Any], Callable[[Any, Sequence[Any]], bool]] = {dict: _object, str: _text, list: _list}
"""How values of these types are compared; others must be among the answers."""
