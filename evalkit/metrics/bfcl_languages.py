"""Values and calls of Java and JavaScript, as BFCL's converters and parsers read them.

A value is a piece of source text that becomes a Python value by the type of its parameter; what has not the form of
that type stays a text. Calls are read by tree-sitter's grammars (extra ``tools``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from evalkit.contract.errors import MissingExtra

TYPES: Mapping[str, Mapping[str, type]] = {
    "java": {
        **dict.fromkeys(("byte", "short", "integer", "long"), int),
        **dict.fromkeys(("float", "double"), float),
        "boolean": bool,
        **dict.fromkeys(("char", "String", "any"), str),
        **dict.fromkeys(("Array", "ArrayList", "Queue", "Stack"), list),
        "Set": set,
        **dict.fromkeys(("HashMap", "Hashtable"), dict),
    },
    "javascript": {
        "String": str,
        "integer": int,
        "float": float,
        "Bigint": int,
        "Boolean": bool,
        "dict": dict,
        "array": list,
        "any": str,
    },
}
NESTED = frozenset(("Array", "ArrayList", "array"))
_WHOLE = re.compile(r"-?\d+")
_DECIMAL = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_JS_DECIMAL = re.compile(r"-?\d+(\.\d+)?")
_AS_LIST = re.compile(r"new\s+ArrayList<\w*>\(Arrays\.asList\((.+?)\)\)")
_ADDED = re.compile(r"new\s+ArrayList<\w*>\(\)\s*\{\{\s*(.+?)\s*\}\}", re.DOTALL)
_EMPTY_LIST = re.compile(r"new\s+ArrayList<\w*>\(\)")
_JAVA_ARRAY = re.compile(r"new\s+\w+\[\]\s*\{(.*?)\}")
_MAP = re.compile(r"new\s+HashMap<.*?>\s*\(\)\s*\{\s*\{?\s*(.*?)\s*\}?\s*\}", re.DOTALL)
_EMPTY_MAP = re.compile(r"new\s+HashMap<.*?>\s*\(\)")
_PUT = re.compile(r'put\("(.*?)",\s*(.*?)\)')
_JS_ROWS = re.compile(r"\[\s*\[.*?\]\s*(,\s*\[.*?\]\s*)*\]|\bnew\s+Array\(\s*\[.*?\]\s*(,\s*\[.*?\]\s*)*\)")
_JS_ARRAY = re.compile(r"\[(.*?)\]|\bnew\s+Array\((.*?)\)")
_JS_OBJECT = re.compile(r"\{(.*?)\}")
_JS_PAIRS = re.compile(r"([^:]+):\s*(.*?)(?:,\s*(?=[^,]+:)|$)")


def java(text: str, kind: str, inner: str | None = None) -> Any:
    """A Java value of the type ``kind`` (of a list, with items of the type ``inner``)."""
    match kind:
        case "byte" | "short" | "integer":
            return int(text) if _WHOLE.fullmatch(text) else text
        case "long":
            return int(text[:-1]) if text[-1:] in ("l", "L") and _WHOLE.fullmatch(text[:-1]) else text
        case "float":
            return float(text[:-1]) if text[-1:] in ("f", "F") and _DECIMAL.fullmatch(text[:-1]) else text
        case "double":
            return float(text) if _DECIMAL.fullmatch(text) else text
        case "boolean":
            return text == "true" if text in ("true", "false") else text
        case "ArrayList":
            return _java_list(text, inner)
        case "Array":
            found = _JAVA_ARRAY.search(text)
            return text if found is None else [_java_item(one, inner) for one in _parts(found[1]) if one]
        case "HashMap":
            found = _MAP.search(text)
            if found is not None:
                return {key: _java_guess(value.strip()) for key, value in _PUT.findall(found[1])}
            return {} if _EMPTY_MAP.search(text) else text
        case "String" | "any" | "char":
            return text
    raise ValueError(f"BFCL reads no {kind}")


def _parts(text: str) -> list[str]:
    return [one.strip() for one in text.split(",")]


def _java_item(text: str, inner: str | None) -> Any:
    return java(text, inner) if inner else _java_guess(text)


def _java_list(text: str, inner: str | None) -> Any:
    """``new ArrayList<>(Arrays.asList(...))``, or one with ``add(...)`` in double braces; texts lose their quotes."""

    def item(one: str) -> Any:
        return one[1:-1] if inner in ("char", "String") else _java_item(one, inner)

    if (found := _AS_LIST.search(text)) is not None:
        return [item(one) for one in _parts(found[1])]
    if (found := _ADDED.search(text)) is not None:
        return [item(one.strip()) for one in re.findall(r"add\((.+?)\)", found[1])]
    return [] if _EMPTY_LIST.search(text) else text


def _java_guess(text: str) -> Any:
    """A value whose type is not told."""
    if text in ("true", "false"):
        return text == "true"
    if text.startswith('"') and text.endswith('"'):
        return text[1:-1]
    if text[-1:] in ("l", "L") and _WHOLE.fullmatch(text[:-1]):
        return int(text[:-1])
    if text[-1:] in ("f", "F") and _DECIMAL.fullmatch(text[:-1]):
        return float(text[:-1])
    return _number(text)


def _number(text: str) -> Any:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def javascript(text: str, kind: str, inner: str | None = None) -> Any:
    """A JavaScript value of the type ``kind``."""
    match kind:
        case "String":
            return text[1:-1] if _quoted(text) else text
        case "integer":
            return int(text) if _WHOLE.fullmatch(text) else text
        case "float":
            return float(text) if _JS_DECIMAL.fullmatch(text) else text
        case "Bigint":
            return int(text[:-1]) if text[-1:] == "n" and _WHOLE.fullmatch(text[:-1]) else text
        case "Boolean":
            return text == "true" if text in ("true", "false") else text
        case "array":
            return _js_array(text.strip(), inner)
        case "dict":
            return _js_object(text.strip())
        case "any":
            return text
    raise ValueError(f"BFCL reads no {kind}")


def _quoted(text: str) -> bool:
    return any(text.startswith(mark) and text.endswith(mark) for mark in "\"'")


def _js_array(text: str, inner: str | None) -> Any:
    rows = _JS_ROWS.match(text)
    if rows is not None:
        found = []
        for number, row in enumerate(re.findall(r"\[(.*?)\]", rows[0])):
            cells = row.strip().removeprefix("[") if number == 0 else row.strip()
            found.append([_js_guess(one) for one in _parts(cells)])
        return found
    array = _JS_ARRAY.match(text)
    if array is None:
        return text
    elements = (array[1] if array[1] is not None else array[2] or "").strip()
    items = [one.strip() for one in elements.split(",")] if elements else []
    try:
        return [javascript(one, inner) if inner else _js_guess(one) for one in items]
    except ValueError:  # a type of items that is not read: the official script keeps the text
        return text


def _js_object(text: str) -> Any:
    if text == "{}":
        return {}
    found = _JS_OBJECT.match(text)
    if found is None:
        return text
    made: dict[str, Any] = {}
    for key, value in ((key.strip().strip("'\""), value.strip()) for key, value in _JS_PAIRS.findall(found[1])):
        if value.startswith("[") and value.endswith("]"):
            made[key] = _js_array(value, None)
        elif value.startswith("{") and value.endswith("}"):
            made[key] = _js_object(value)
        else:
            made[key] = _js_guess(value.strip("'\""))
    return made


def _js_guess(text: str) -> Any:
    text = text.strip()
    if text in ("true", "false"):
        return text == "true"
    return text[1:-1] if _quoted(text) else _number(text)


READERS: Mapping[str, Callable[[str, str, str | None], Any]] = {"java": java, "javascript": javascript}


def parser(language: str) -> Any:
    """tree-sitter's parser of a language. MissingExtra where it is not installed."""
    try:
        import tree_sitter
        import tree_sitter_java
        import tree_sitter_javascript
    except ImportError as error:
        raise MissingExtra(f"calls in {language}", error.name or "tree-sitter", "tools") from error
    grammar = {"java": tree_sitter_java, "javascript": tree_sitter_javascript}[language]
    return tree_sitter.Parser(tree_sitter.Language(grammar.language()))
