"""Whether a model calls the right function with the right values: BFCL's kinds, and NexusRaven's.

The document says what may be called (``functions``), how the calls were asked for (``calls``: "prompted" as text, or
"native" by the server or template) and, for native ones, which name stands for which function (``names``).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evalkit.metrics import bfcl, calls
from evalkit.metrics.base import Metric, ScoringInput, restricted, share_metric, shared
from evalkit.metrics.bfcl_calls import of_source
from evalkit.metrics.calls import Call, Unreadable
from evalkit.metrics.combine import Value
from evalkit.metrics.filters import strip_thinking

BFCL = "Patil et al. 2025, the Berkeley Function Calling Leaderboard v4; bfcl_eval's ast_checker.py"
NEXUS = "nexusflowai/NexusRaven raven/eval/evaluator.py"
CHOICE = "evalkit's choice among four tools, docs/sql_and_tools.md"
NATIVE = "native"
_strip = strip_thinking()


def _named(found: Sequence[Call], names: Mapping[str, str]) -> list[Call]:
    """The calls by the functions' own names."""
    return [Call(names.get(one.name, one.name), one.arguments, one.positional) for one in found]


def bfcl_calls(document: Mapping[str, Any], reply: str) -> list[Call]:
    """The calls of a reply to one of BFCL's items. Raises Unreadable."""
    text, category = _strip(reply), str(document["category"])
    if document.get("calls") == NATIVE:
        return _named(calls.native(text), document.get("names") or {})
    language = next((one for one in ("javascript", "java") if one in category), None)
    return calls.of_text(text) if language is None else of_source(text, language)


def _bfcl(item: ScoringInput) -> Mapping[str, Value]:
    """Irrelevance wants no call, relevance wants any; all others want those of the possible answers."""
    document, category = item.document, str(item.document["category"])
    try:
        found, read = bfcl_calls(document, item.text or ""), 1.0
    except Unreadable:
        found, read = [], 0.0
    if "irrelevance" in category:
        right = not found
    elif "relevance" in category:
        right = bool(found)
    else:
        wanted = document["answers"]
        right = bool(read) and bfcl.problem(document["functions"], calls.plain(found), wanted, category) is None
    return {"right": float(right), "called": float(bool(found))}


def _nexus(item: ScoringInput) -> Mapping[str, Value]:
    """The same function, and the same values after defaults are filled in."""
    functions = {one["name"]: one for one in item.document["functions"]}
    right = _literal(calls.tree(str(item.target)), functions)
    try:
        found = _nexus_call(item.document, item.text or "", functions)
    except Unreadable:
        return {"right": 0.0, "name": 0.0}
    return {"right": float(found == right), "name": float(found.name == right.name)}


def _nexus_call(document: Mapping[str, Any], reply: str, functions: Mapping[str, Any]) -> Call:
    """The one call of a reply, complete. Raises Unreadable."""
    text = _strip(reply)
    if document.get("calls") == NATIVE:
        found = _named(calls.native(text), document.get("names") or {})
        if len(found) != 1:
            raise Unreadable(f"{len(found)} calls instead of one")
        return _complete(found[0], functions)
    text = text.strip("`\n ").removeprefix("python").strip()
    first = text.partition("\n")[0].removeprefix("Initial Answer:").strip()
    for candidate in (text, first):
        try:
            return _literal(calls.tree(candidate.strip("[]` ")), functions)
        except Unreadable as error:
            problem = error
    raise problem


def _literal(node: ast.expr, functions: Mapping[str, Any]) -> Call:
    """A call of literals and of calls within. Fractions are cut to whole numbers, as the official script does."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise Unreadable("no call of a function by its name")

    def value(one: ast.expr) -> Any:
        if isinstance(one, ast.Call):
            return _literal(one, functions)
        try:
            return ast.literal_eval(one)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
            raise Unreadable(f"an argument that is no literal: {error}") from None

    given = {str(one.arg): value(one.value) for one in node.keywords}
    return _complete(Call(node.func.id, given, tuple(map(value, node.args))), functions)


def _complete(call: Call, functions: Mapping[str, Any]) -> Call:
    """The call with its positional values named and its defaults filled in. Raises Unreadable for a function that is
    not
    there, a parameter that it lacks, and one that is required and missing.
    """
    if call.name not in functions:
        raise Unreadable(f"there is no function {call.name}")
    described = functions[call.name]["parameters"]
    order, required = list(described["properties"]), set(described.get("required") or ())
    if len(call.positional) > len(order):
        raise Unreadable("too many values")
    given = dict(zip(order, call.positional, strict=False))
    for name, value in call.arguments.items():
        if name not in order or name in given:
            raise Unreadable(f"the parameter {name} is not there, or given twice")
        given[name] = value
    if missing := required - given.keys():
        raise Unreadable(f"lacks {', '.join(sorted(missing))}")
    defaults = {name: described["properties"][name].get("default") for name in order if name not in required}
    return Call(call.name, {name: _whole(value) for name, value in {**defaults, **given}.items()})


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and abs(value) < 1e300 else value


def _share(name: str, compute: Callable[[ScoringInput], Mapping[str, Value]], part: str, source: str) -> Metric:
    return share_metric(name, restricted(shared(compute, part)), source=source, binary=True)


call_accuracy = _share("call_accuracy", _bfcl, "right", BFCL)
called = _share("called", _bfcl, "called", BFCL)
call_match = _share("call_match", _nexus, "right", NEXUS)
function_match = _share("function_match", _nexus, "name", NEXUS)
