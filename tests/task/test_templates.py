"""Templates: values and text, strict about missing fields, closed to code."""

from __future__ import annotations

import pytest

from evalkit.contract.errors import UserError
from evalkit.task.templates import MissingField, compile_text, compile_value


def test_text_keeps_newlines_and_never_renders_data() -> None:
    assert compile_text("Q: {{ q }}\n")({"q": "{{ secret }} {% raw %}"}) == "Q: {{ secret }} {% raw %}\n"
    assert compile_text("plain")({}) == "plain"


def test_values() -> None:
    row = {"label": 2, "answer": {"aliases": ["a", "b"]}, "s1": "x", "s2": "y", "t": "one two"}
    assert compile_value(0)(row) == 0
    assert compile_value("label")(row) == 2
    assert compile_value("{{ answer.aliases }}")(row) == ["a", "b"]
    assert compile_value("{{ [s1, s2] }}")(row) == ["x", "y"]
    assert compile_value("{{ ' ' + t.split(' ')[-1] }}")(row) == " two"
    assert compile_value("{{ s1 }} and {{ s2 }}")(row) == "x and y"
    assert compile_value(("yes", "{{ s1 }}!"))(row) == ["yes", "x!"]


def test_missing_fields_are_named() -> None:
    with pytest.raises(MissingField, match=r"^q$"):
        compile_text("{{ q }}")({})
    with pytest.raises(MissingField, match=r"^aliases$"):
        compile_value("answer.aliases")({"answer": {}})
    with pytest.raises(MissingField, match=r"^label$"):
        compile_value("label")({})


def test_syntax_and_type_errors_are_user_errors() -> None:
    with pytest.raises(UserError, match="template syntax, line 1"):
        compile_text("{{ q")
    with pytest.raises(UserError, match="template syntax"):
        compile_value("a b c")
    with pytest.raises(UserError, match="not in list"):
        compile_value("labels.index('Z')")({"labels": ["A"]})


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ q.__init__.__globals__ }}",
        "{{ '{0.__class__}'.format(q) }}",
        "{{ things.append(1) }}",
        "{% include '/etc/passwd' %}",
    ],
)
def test_the_sandbox_holds(attack: str) -> None:
    things: list[int] = []
    with pytest.raises(UserError):
        compile_text(attack)({"q": "x", "things": things})
    assert things == []
