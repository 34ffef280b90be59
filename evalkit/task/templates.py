"""Templates of task definitions: jinja2 in a sandbox, strict about fields that are not there.

Newlines and undefined names follow lm-evaluation-harness 0.4.13, so that the same text gives the same prompt.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, Undefined, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from evalkit.contract.errors import UserError
from evalkit.text.patterns import compiled

Row = Mapping[str, Any]


class MissingField(UserError):
    """A template asks for a field that the row does not have; the message is the field's name."""


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters["regex_replace"] = _regex_replace
    return environment


def _regex_replace(text: str, pattern: str, repl: str, count: int = 0) -> str:
    return compiled(pattern).sub(repl, text, count)


def compile_text(source: str) -> Callable[[Row], str]:
    """A template that gives text: ``render(row)``. Raises UserError for bad syntax."""
    if "{" not in source:
        return lambda row: source
    try:
        template = _environment().from_string(source)
    except TemplateSyntaxError as error:
        raise _syntax(error) from error
    return lambda row: str(_guarded(lambda: template.render(row)))


def compile_value(source: int | str | tuple[str, ...] | list[str]) -> Callable[[Row], Any]:
    """A template that gives a value.

    A number is itself; a list gives a list of rendered texts; "{{ expression }}" and a bare expression ("label",
    "answer.aliases") give the expression's own value; text around braces makes it a text template.
    """
    if isinstance(source, int):
        return lambda row: source
    if isinstance(source, tuple | list):
        parts = [compile_text(part) for part in source]
        return lambda row: [part(row) for part in parts]
    expression = _whole_expression(source)
    if expression is None:
        return compile_text(source)
    try:
        evaluate = _environment().compile_expression(expression, undefined_to_none=False)
    except TemplateSyntaxError as error:
        raise _syntax(error) from error

    def value(row: Row) -> Any:
        result = _guarded(lambda: evaluate(row))
        if isinstance(result, Undefined):
            _guarded(lambda: str(result))
        return result

    return value


def _whole_expression(source: str) -> str | None:
    text = source.strip()
    if "{%" in text or "{#" in text:
        return None
    if "{{" not in text:
        return text
    if text.startswith("{{") and text.endswith("}}") and text.count("{{") == 1:
        return text[2:-2].strip("-+")
    return None


def _syntax(error: TemplateSyntaxError) -> UserError:
    return UserError(f"template syntax, line {error.lineno} of the text: {error.message}")


def _guarded(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except UndefinedError as error:
        names = re.findall(r"'([^']+)'", str(error))
        raise MissingField(names[-1] if names else str(error)) from error
    except (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise UserError(f"{type(error).__name__}: {error}") from error
