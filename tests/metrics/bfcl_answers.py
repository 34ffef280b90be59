"""Calls that BFCL's possible answers allow, and ways to spoil them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.data import rows

SET = Path("gorilla-llm") / "Berkeley-Function-Calling-Leaderboard"
Calls = list[dict[str, dict[str, Any]]]


def items(mirror: Path, category: str) -> Iterator[tuple[Mapping[str, Any], Any]]:
    """(row, possible answers) of a category."""
    answers = {one["id"]: one["ground_truth"] for one in rows.read(mirror / SET / "possible_answer" / file(category))}
    for row in rows.read(mirror / SET / file(category)):
        yield row, answers[row["id"]]


def file(category: str) -> str:
    return f"BFCL_v4_{category}.json"


def right(functions: Any, answers: Any, category: str) -> Calls:
    """One way to answer: the first possible value of each parameter, and none where it may be left out."""
    made = []
    for answer in answers:
        ((name, parameters),) = answer.items()
        described = next((one for one in functions if one["name"] == name), functions[0])["parameters"]
        given = {}
        for key, possible in parameters.items():
            value = next((one for one in possible if one != ""), "")
            left_out = "" in possible and (value == "" or key not in described["properties"])
            if left_out and key not in described.get("required", ()):
                continue
            kind = described["properties"].get(key, {})
            given[key] = _written(_plain(value), kind, category)
        made.append({name: given})
    return made


def _plain(value: Any) -> Any:
    """Of an object whose entries are lists of possible values, one object."""
    if isinstance(value, dict):
        chosen = {key: next((one for one in possible if one != ""), "") for key, possible in value.items()}
        return {key: _plain(one) for key, one in chosen.items() if one != "" or "" not in value[key]}
    return [_plain(one) if isinstance(one, dict) else one for one in value] if isinstance(value, list) else value


def _written(value: Any, kind: Mapping[str, Any], category: str) -> Any:
    if category == "simple_java":
        return _java(value, kind["type"], kind.get("items", {}).get("type"))
    if category == "simple_javascript" and not isinstance(value, str):
        return f"{value}n" if kind["type"] == "Bigint" else json.dumps(value)
    return value


def _java(value: Any, kind: str, inner: str | None = None) -> str:
    if isinstance(value, bool):
        return json.dumps(value)
    if kind == "Array" and isinstance(value, list):
        return f"new Object[]{{{', '.join(_java(one, inner or 'any') for one in value)}}}"
    if kind == "ArrayList" and isinstance(value, list):
        listed = ", ".join(f'"{one}"' if isinstance(one, str) else _java(one, inner or "any") for one in value)
        return f"new ArrayList<Object>(Arrays.asList({listed}))" if value else "new ArrayList<Object>()"
    if kind == "HashMap" and isinstance(value, dict):
        put = " ".join(f'put("{key}", {json.dumps(one)});' for key, one in value.items())
        return f"new HashMap<String, Object>() {{{{ {put} }}}}"
    return f"{value}{ {'long': 'L', 'float': 'f'}.get(kind, '') if not isinstance(value, str) else '' }"


def native(calls: Calls) -> str:
    """As a template writes them."""
    objects = [{"name": name, "arguments": given} for call in calls for name, given in call.items()]
    return "\n".join(f"<tool_call>\n{json.dumps(one)}\n</tool_call>" for one in objects)


def text(calls: Calls) -> str:
    """As a list of calls of Python."""
    listed = [
        f"{name}({', '.join(f'{key}={value!r}' for key, value in given.items())})"
        for call in calls
        for name, given in call.items()
    ]
    return f"[{', '.join(listed)}]"


def spoiled(calls: Calls) -> Iterator[tuple[str, Calls]]:
    """(how, calls): each way that applies, on the first call."""
    ((name, given),) = calls[0].items()
    rest = calls[1:]
    yield "another name", [{f"{name}_x": given}, *rest]
    yield "one call more", [*calls, copy.deepcopy(calls[0])]
    yield "no call", []
    yield "a parameter more", [{name: {**given, "not_there": 1}}, *rest]
    for key, value in given.items():
        others = {one: two for one, two in given.items() if one != key}
        yield "a parameter less", [{name: others}, *rest]
        yield "another value", [{name: {**given, key: _other(value)}}, *rest]
        yield "another type", [{name: {**given, key: 7 if isinstance(value, str) else str(value)}}, *rest]
        if isinstance(value, str):
            yield "case and dots", [{name: {**given, key: f" {value.upper()}."}}, *rest]
        if isinstance(value, list):
            yield "turned around", [{name: {**given, key: value[::-1]}}, *rest]
        if isinstance(value, int) and not isinstance(value, bool):
            yield "as a fraction", [{name: {**given, key: float(value)}}, *rest]
        if isinstance(value, dict) and value:
            yield "an entry less", [{name: {**given, key: dict(list(value.items())[1:])}}, *rest]


def _other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return value + "q" if isinstance(value, str) else [*value, "q"] if isinstance(value, list) else {"q": 1}
