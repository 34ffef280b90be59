"""Functions as a model is told of them: BFCL's descriptions, OpenAI's tools, and signatures of Python."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evalkit.metrics import calls
from evalkit.metrics.calls import Call, Unreadable

Function = dict[str, Any]
"""{"name", "description", "parameters": {"type": "dict", "properties": {NAME: {"type", "description", "default"}},
"required"}}, with BFCL's names of types."""

_SCHEMA = {
    **dict.fromkeys(("integer", "byte", "short", "long", "Bigint"), "integer"),
    **dict.fromkeys(("number", "float", "double"), "number"),
    **dict.fromkeys(("string", "String", "char", "any", "Any"), "string"),
    **dict.fromkeys(("boolean", "bool", "Boolean"), "boolean"),
    **dict.fromkeys(("array", "list", "tuple", "Array", "ArrayList", "Queue", "Stack"), "array"),
    **dict.fromkeys(("dict", "object", "HashMap", "Hashtable"), "object"),
}
"""BFCL's types as JSON Schema's (bfcl_eval/constants/type_mappings.py)."""
_PYTHON = {"str": "string", "int": "integer", "float": "float", "bool": "boolean", "list": "array", "dict": "dict"}
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")
LONGEST_NAME = 64


def in_language(function: Mapping[str, Any], language: str) -> Function:
    """A function of Java or JavaScript as BFCL shows it: every value is asked for as a text of source code."""
    if language == "python":
        return dict(function)
    spoken = {"java": "Java 8", "javascript": "JavaScript"}[language]
    properties = {}
    for name, one in function["parameters"]["properties"].items():
        inner = f" with items of the type {one['items']['type']}" if isinstance(one.get("items"), Mapping) else ""
        inside = f" with the entries {json.dumps(one['properties'])}" if "properties" in one else ""
        told = (
            f"{one.get('description', '')} Write a {spoken} value of the type {one['type']}{inner}{inside} as a text."
        )
        properties[name] = {"type": "string", "description": told.strip()}
    return {
        **function,
        "description": f"{function.get('description', '')} The function is written in {spoken}.",
        "parameters": {**function["parameters"], "properties": properties},
    }


def tool(function: Mapping[str, Any], name: str) -> str:
    """The JSON of one of OpenAI's tools."""
    inner = {
        "name": name,
        "description": function.get("description", ""),
        "parameters": _schema(function["parameters"]),
    }
    return json.dumps({"type": "function", "function": inner}, ensure_ascii=False, sort_keys=True)


def _schema(described: Any) -> Any:
    """JSON Schema of a description; keys that it lacks ("optional") are left out."""
    if not isinstance(described, Mapping):
        return described
    kept = ("description", "enum", "default", "required", "items", "properties", "additionalProperties")
    found: dict[str, Any] = {key: described[key] for key in kept if key in described}
    found["type"] = _SCHEMA.get(str(described.get("type", "string")), "string")
    if isinstance(found.get("properties"), Mapping):
        found["properties"] = {name: _schema(one) for name, one in found["properties"].items()}
    for key in ("items", "additionalProperties"):
        if key in found:
            found[key] = _schema(found[key])
    return found


def names(functions: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """A name that every server takes (letters, digits, "_" and "-", at most 64) for each function, and the function's
    own
    name behind it.
    """
    found: dict[str, str] = {}
    for function in functions:
        own = str(function["name"])
        name = base = _UNFIT.sub("_", own)[:LONGEST_NAME] or "function"
        number = 2
        while name in found:
            name = f"{base[: LONGEST_NAME - 4]}_{number}"
            number += 1
        found[name] = own
    return found


def of_signature(signature: str, description: str) -> Function:
    """A function of "name(a: str, b: int = 3)". Raises Unreadable."""
    try:
        (node,) = ast.parse(f"def {signature}: pass").body
    except (SyntaxError, ValueError) as error:
        raise Unreadable(f"no signature: {error}") from None
    if not isinstance(node, ast.FunctionDef):
        raise Unreadable("no signature of a function")
    arguments = [*node.args.posonlyargs, *node.args.args]
    defaults: list[ast.expr | None] = [*[None] * (len(arguments) - len(node.args.defaults)), *node.args.defaults]
    properties: dict[str, Any] = {}
    required = []
    for one, default in zip(arguments, defaults, strict=True):
        kind = ast.unparse(one.annotation) if one.annotation is not None else ""
        properties[one.arg] = {"type": _kind(kind), "description": ""}
        if default is None:
            required.append(one.arg)
        else:
            properties[one.arg]["default"] = calls.value_of(default)
    return _function(node.name, description, properties, required)


def _kind(annotation: str) -> str:
    plain = annotation.lower()
    return next((kind for word, kind in _PYTHON.items() if word in plain), "any")


def _function(name: str, description: str, properties: Mapping[str, Any], required: Sequence[str]) -> Function:
    parameters = {"type": "dict", "properties": dict(properties), "required": list(required)}
    return {"name": name, "description": " ".join(description.split()), "parameters": parameters}


def of_entry(entry: Mapping[str, Any]) -> Function:
    """A function of NexusRaven's list of APIs: name, description, args_dicts."""
    properties: dict[str, Any] = {}
    required = []
    for one in sorted(entry["args_dicts"], key=lambda one: not one["required"]):
        name = str(one["name"])
        properties[name] = {"type": _kind(str(one["type"])), "description": str(one.get("description") or "")}
        if one["required"]:
            required.append(name)
        else:
            properties[name]["default"] = _default(one.get("default"))
    return _function(str(entry["name"]), str(entry.get("description") or ""), properties, required)


def _default(written: Any) -> Any:
    if not isinstance(written, str):
        return written
    text = written.removeprefix("JSON:")
    try:
        return json.loads(text) if text is not written else ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return written


def of_calls(made: Iterable[Call]) -> list[Function]:
    """What calls show of the functions that they call: every parameter that is given somewhere; one that is given
    always
    is required, any other has no value by default.
    """
    grouped: dict[str, list[Call]] = {}
    for one in made:
        grouped.setdefault(one.name, []).append(one)
    found = []
    for name, some in grouped.items():
        seen = dict.fromkeys(key for one in some for key in one.arguments)
        required = [key for key in seen if all(key in one.arguments for one in some)]
        ordered = [*required, *(key for key in seen if key not in required)]
        properties: dict[str, Any] = {}
        for key in ordered:
            value = next(one.arguments[key] for one in some if key in one.arguments)
            properties[key] = {"type": _PYTHON.get(type(value).__name__, "any"), "description": ""}
            if key not in required:
                properties[key]["default"] = None
        found.append(_function(name, "", properties, required))
    return found
