"""Function calls in a reply: read as a syntax tree and never run.

Two forms: calls as text, ``[name(key=value), ...]``, in the reading of the Berkeley Function-Calling Leaderboard
(bfcl_eval/model_handler/utils.py: quotes and fences stripped, brackets added, keyword arguments alone); and calls as
JSON, as chat templates and servers write them (`evalkit.text.tool_calls`, Llama's and Mistral's marks).
"""

from __future__ import annotations

import ast
import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalkit.text.reading import Malformed, parse_json
from evalkit.text.tool_calls import BEGIN, END

LONGEST = 50_000
"""Characters of a reply that are read."""
BITS = 4096
"""Of a number that a sum in an argument may come to."""
_MARKED = re.compile(re.escape(BEGIN) + r"\s*(.*?)\s*(?:" + re.escape(END) + r"|\Z)", re.DOTALL)
_MARKS = ("<|python_tag|>", "[TOOL_CALLS]", "<|tool_call|>")
_DECODER = json.JSONDecoder()
_SUMS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


class Unreadable(ValueError):
    """The reply holds no calls, or not in this form."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call. Values are JSON's, and tuples; a name stands as its text, a call within as a `Call`."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    positional: tuple[Any, ...] = ()


def of_text(reply: str) -> list[Call]:
    """The calls of a reply that is a list of them, or one. Raises Unreadable."""
    text = reply.strip("`\n ")
    if not text.startswith("["):
        text = "[" + text
    if not text.endswith("]"):
        text += "]"
    body = tree(text.strip().strip("'"))
    listed = body.elts if isinstance(body, ast.List | ast.Tuple) else [body]
    return [_call(one) for one in listed]


def of_json(reply: str) -> list[Call]:
    """The calls that a template or a server writes as JSON. Raises Unreadable where there are none."""
    marked = _MARKED.findall(reply[:LONGEST])
    if not marked:
        text = reply[:LONGEST].strip().strip("`").removeprefix("json").strip()
        for mark in _MARKS:
            text = text.removeprefix(mark).strip()
        marked = [text]
    found: list[Call] = []
    for text in marked:
        for value in _values(text):
            found += [_of_object(one) for one in (value if isinstance(value, list) else [value])]
    return found


def _values(text: str) -> Iterator[Any]:
    """The values of JSON in a text: one, or several with ";", "," or white space between, as Llama writes parallel
    calls.
    Raises Unreadable where it holds anything else, and for none.
    """
    at = 0
    while at < len(text) or at == 0:
        try:
            _, end = _DECODER.raw_decode(text, at)
            value = parse_json(text[at:end])
        except (ValueError, RecursionError) as error:
            raise Unreadable(f"no JSON: {error}") from None
        yield value
        at = end + len(text[end:]) - len(text[end:].lstrip("; ,\n\t"))


def native(reply: str) -> list[Call]:
    """Calls as JSON, else as text. Raises Unreadable."""
    try:
        return of_json(reply)
    except Unreadable:
        return of_text(reply)


def _of_object(value: Any) -> Call:
    inner = value.get("function") if isinstance(value, dict) else None
    value = inner if isinstance(inner, dict) else value
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise Unreadable("an object without the name of a function")
    arguments: Any = next((value[key] for key in ("arguments", "parameters", "input") if key in value), {})
    if isinstance(arguments, str):
        try:
            arguments = parse_json(arguments)
        except Malformed as error:
            raise Unreadable(f"its arguments are no JSON: {error}") from None
    if not isinstance(arguments, dict):
        raise Unreadable("its arguments are no object")
    return Call(value["name"], arguments)


def tree(text: str) -> ast.expr:
    """One expression of Python. Raises Unreadable, also for one that is too long or nested too deep."""
    if len(text) > LONGEST:
        raise Unreadable(f"longer than {LONGEST:,} characters")
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Unreadable(str(error)) from None


def _call(node: ast.expr) -> Call:
    if not isinstance(node, ast.Call):
        raise Unreadable(f"{type(node).__name__} is no call")
    try:
        arguments = {str(one.arg): value_of(one.value) for one in node.keywords if one.arg is not None}
        return Call(_dotted(node.func), arguments, tuple(value_of(one) for one in node.args))
    except RecursionError:
        raise Unreadable("nested too deep") from None


def _dotted(node: ast.expr) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        parts.append(node.id)
    return ".".join(reversed(parts))


def value_of(node: ast.expr) -> Any:
    """What an argument says, without computing more than sums of numbers. Raises Unreadable."""
    match node:
        case ast.Constant():
            return "..." if node.value is Ellipsis else node.value
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=ast.Constant(value=int() | float() as number)):
            return -number if isinstance(node.op, ast.USub) else number
        case ast.List():
            return [value_of(one) for one in node.elts]
        case ast.Tuple():
            return tuple(value_of(one) for one in node.elts)
        case ast.Dict():
            return {_key(key): value_of(one) for key, one in zip(node.keys, node.values, strict=True)}
        case ast.Name():
            return node.id
        case ast.Call():
            return _call(node) if node.keywords else ast.unparse(node)
        case ast.Subscript():
            return ast.unparse(node)
        case ast.BinOp():
            return _sum(node)
    raise Unreadable(f"{type(node).__name__} is no value")


def _key(node: ast.expr | None) -> Any:
    key = None if node is None else value_of(node)
    if isinstance(key, list | dict | Call):
        raise Unreadable("a key of a dictionary is no plain value")
    return key


def _sum(node: ast.BinOp) -> Any:
    """Arithmetic of numbers, and texts or lists put together; every intermediate value is bounded."""
    left, right = value_of(node.left), value_of(node.right)
    numbers = all(isinstance(one, int | float) for one in (left, right))
    alike = type(left) is type(right) and isinstance(left, str | list) and isinstance(node.op, ast.Add)
    try:
        if numbers and isinstance(node.op, ast.Pow):
            if not -64 <= right <= 64 or abs(left) > 1 << 32:
                raise Unreadable("a power that is not computed")
            return left**right
        if (numbers or alike) and type(node.op) in _SUMS:
            found = _SUMS[type(node.op)](left, right)
            if isinstance(found, int) and found.bit_length() > BITS:
                raise Unreadable("a number that is not computed")
            return found
    except (ArithmeticError, TypeError, ValueError) as error:
        raise Unreadable(str(error)) from None
    raise Unreadable("a sum that is not computed")


def plain(calls: Sequence[Call]) -> list[dict[str, Any]]:
    """The calls as BFCL's objects: {name: arguments}, one a call; a call within is one as well."""
    return [{one.name: {key: _plain(value) for key, value in one.arguments.items()}} for one in calls]


def _plain(value: Any) -> Any:
    if isinstance(value, Call):
        return plain([value])[0]
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    return {key: _plain(one) for key, one in value.items()} if isinstance(value, dict) else value
