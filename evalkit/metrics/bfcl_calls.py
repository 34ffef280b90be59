"""Calls that a reply writes in Java or JavaScript, by tree-sitter's grammars, as BFCL's parsers read them: the first
call,
its arguments being assignments ``name=value``, each value as source text.
"""

from __future__ import annotations

from typing import Any

from evalkit.metrics.bfcl_languages import parser
from evalkit.metrics.calls import LONGEST, Call, Unreadable


def of_source(reply: str, language: str) -> list[Call]:
    """The call in a reply of that language, in brackets or without; none where there is none. Raises Unreadable."""
    text = reply.strip("`\n ")
    if not text.startswith("["):
        text = "[" + text
    if not text.endswith("]"):
        text += "]"
    source = text[1:-1].encode()
    if len(source) > LONGEST:
        raise Unreadable(f"longer than {LONGEST:,} bytes")
    root = parser(language).parse(source).root_node
    if "ERROR" in str(root):
        raise Unreadable(f"no {language}")
    try:
        return _java(root) if language == "java" else _javascript(root)
    except RecursionError:
        raise Unreadable("nested too deep") from None


def _text(node: Any) -> str:
    return str(node.text.decode("utf-8", "replace"))


def _java(root: Any) -> list[Call]:
    if root.type != "method_invocation":
        return next((found for child in root.children if (found := _java(child))), [])
    owner = root.child_by_field_name("object")
    name = _text(root.child_by_field_name("name"))
    arguments = root.child_by_field_name("arguments")
    return [Call(f"{_text(owner)}.{name}" if owner else name, _assigned(arguments, _java_value))]


def _assigned(node: Any, read: Any) -> dict[str, Any]:
    """The arguments that are assignments. Raises Unreadable for a name that is given twice."""
    found: dict[str, Any] = {}
    for child in node.children if node is not None else ():
        if child.type == "assignment_expression":
            name = _text(child.children[0])
            if name in found:
                raise Unreadable(f"{name} is given twice")
            found[name] = read(child.children[2])
        elif child.type in ("identifier", "class_literal", "true"):
            found[""] = _text(child)  # BFCL keeps an argument without a name, which no answer has
    return found


def _java_value(node: Any, nested: bool = False) -> str:
    if node.type in ("string_literal", "character_literal"):
        return _text(node) if nested else _text(node)[1:-1]
    if node.type in ("identifier", "class_literal", "type_identifier", "method_invocation"):
        return _text(node)
    if node.type == "array_creation_expression":
        kind, value = node.child_by_field_name("type"), node.child_by_field_name("value")
        if kind is None or value is None:
            raise Unreadable("an array without its items")
        return f"new {_java_value(kind, True)}[]{_java_value(value, True)}"
    if node.type == "object_creation_expression":
        kind, arguments = node.child_by_field_name("type"), node.child_by_field_name("arguments")
        inner = [child for child in arguments.children if child.type not in (",", "(", ")")] if arguments else []
        return f"new {_java_value(kind, True)}({', '.join(_java_value(child, True) for child in inner)})"
    if node.child_count:
        return "".join(_java_value(child, True) for child in node.children)
    return _text(node)


def _javascript(root: Any) -> list[Call]:
    for statement in root.children if root.type == "program" else ():
        for child in statement.children if statement.type == "expression_statement" else ():
            if child.type == "call_expression":
                return [Call(_text(child.children[0]), _assigned(child.children[1], _javascript_value))]
    return []


def _javascript_value(node: Any) -> str:
    text = _text(node)
    quoted = any(text.startswith(mark) and text.endswith(mark) for mark in "\"'")
    return text[1:-1] if quoted else text
