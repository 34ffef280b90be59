"""Chat templates: transformers' own texts, variables, a clock that stands still, system turns, and limits."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import tiny_models as tiny

from evalkit.backends import chat_template as module
from evalkit.backends.chat_template import ChatTemplate, named, prompting_identity, variables
from evalkit.contract.errors import UserError
from evalkit.contract.types import Message
from evalkit.spec.models import ModelSpec

PLAIN = (
    "{{ bos_token }}{% for m in messages %}\n  <{{ m['role'] }}>{{ m['content'] | trim }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
CLOCK = "{{ strftime_now('%d %b %Y %H:%M:%S') }}" + PLAIN
REFUSING = "{% if messages[0].role == 'system' %}{{ raise_exception('none here') }}{% endif %}" + PLAIN
DROPPING = PLAIN.replace("in messages", "in messages if m.role != 'system'")
THINKING = PLAIN + "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
ODD = (
    "{%- set space = namespace(seen=0) -%}{% for m in messages %}{% generation %}{{ m | tojson }}{% endgeneration %}"
    "{% set space.seen = space.seen + 1 %}{% if space.seen > 2 %}{% break %}{% endif %}{% endfor %}"
    "{{ tools is none }}{{ documents is none }}{{ undefined_thing }}"
)
USER, SYSTEM, ANSWER = Message("user", " Why? "), Message("system", "Be <brief>."), Message("assistant", "Because é ")


def template(text: str, **given: Any) -> ChatTemplate:
    return ChatTemplate("tiny", text, {"bos_token": "<begin>"}, given)


@pytest.mark.parametrize("text", [PLAIN, THINKING, ODD])
@pytest.mark.parametrize("turns", [(USER,), (SYSTEM, USER), (USER, ANSWER, USER), (USER, ANSWER)])
@pytest.mark.parametrize("given", [{}, {"enable_thinking": False}])
def test_the_text_is_transformers_own(text: str, turns: tuple[Message, ...], given: dict[str, Any]) -> None:
    tokenizer = tiny.tokenizer()
    goes_on = turns[-1] is ANSWER and text is not ODD
    expected = tokenizer.apply_chat_template(
        [{"role": one.role, "content": one.content} for one in turns],
        chat_template=text,
        tokenize=False,
        add_generation_prompt=not goes_on,
        continue_final_message=goes_on,
        **given,
    )
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    assert ChatTemplate("tiny", text, special, given)(turns, not goes_on) == expected


def test_a_template_s_clock_stands_still_and_is_recorded() -> None:
    made = template(CLOCK)
    assert made([USER], True).startswith("26 Jul 2024 00:00:00<begin>")
    assert made.record() == {"chat_template": CLOCK, "template_clock": module.CLOCK}
    assert "template_clock" not in template(PLAIN).record()


@pytest.mark.parametrize("text", [REFUSING, DROPPING])
def test_a_system_turn_without_a_place_begins_the_first_user_turn_and_that_is_said(text: str, caplog: Any) -> None:
    made = template(text)
    with caplog.at_level(logging.WARNING):
        shown = [made([SYSTEM, USER, ANSWER, USER], True) for _ in range(2)]
    assert shown[0] == template(PLAIN)([Message("user", "Be <brief>.\n\n Why? "), ANSWER, USER], True) == shown[1]
    assert [record.getMessage() for record in caplog.records] == [
        "tiny: its chat template has no place for a system turn: it begins the first user turn"
    ]
    assert made.record()["system_turn"] == "the template has no place for it: it begins the first user turn"
    assert "system_turn" not in template(PLAIN).record()


def test_variables_reach_the_template_are_recorded_and_are_part_of_the_identity(caplog: Any) -> None:
    spec = ModelSpec(name="tiny", chat_template_args={"tone": 1}, enable_thinking=False)
    assert variables(spec) == {"tone": 1, "enable_thinking": False}
    assert prompting_identity(spec) == {"template_variables": variables(spec)}
    assert prompting_identity(ModelSpec(name="tiny", think_end="</t>")) == {"think_end": "</t>"}
    assert prompting_identity(ModelSpec(name="tiny")) == {}
    with caplog.at_level(logging.WARNING):
        made = template(THINKING, **variables(spec))
    assert made([USER], True).endswith("<think></think>")
    assert made.record()["template_variables"] == {"tone": 1, "enable_thinking": False}
    assert caplog.messages == ["tiny: its chat template has no variable tone: it changes nothing"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{% include 'other.jinja' %}", "it includes another file (other.jinja)"),
        ("{% import 'other.jinja' as o %}", "it includes another file (other.jinja)"),
        ("{% for m in messages %}", "Unexpected end of template"),
        ("{{ raise_exception('only one turn') }}", "only one turn"),
        ("{{ messages[9].content.x }}", "has no element 9"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "computes for more than"),
        ("{% set x = 'a' * 10 ** 10 %}", "takes more memory"),
        ("{{ 'abc' | center(10 ** 10) }}", "takes more memory"),
        (
            "{% set n = namespace(s='abcdefgh') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
            "memory",
        ),
        ("{% for i in range(90000) %}{{ 'a' * 1000 }}{% endfor %}", "writes more than 16,777,216 characters"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "calls itself without end"),
    ],
)
def test_what_does_not_render_is_one_line(text: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.3 if "computes" in reason else 5.0)
    monkeypatch.setattr(module, "MEMORY", 1 << 28)
    with pytest.raises(UserError) as caught:
        template(text)([USER], True)
    told = str(caught.value)
    assert told.startswith("tiny: the model's chat template fails on these turns: ")
    assert reason in told
    assert "\n" not in told


def test_a_template_goes_on_after_one_conversation_was_too_much_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.3)
    loop = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    made = template("{% if messages[0].content == 'loop' %}" + loop + "{% endif %}" + PLAIN)
    assert "Why?" in made([USER], True)
    with pytest.raises(UserError, match="computes for more than"):
        made([Message("user", "loop")], True)
    assert "Why?" in made([USER], True)


def test_a_template_of_many_megabytes_is_refused() -> None:
    with pytest.raises(UserError, match="2,000,000 characters, of 1,048,576 at most"):
        template("a" * 2_000_000)


def test_a_name_is_a_name_and_never_a_template() -> None:
    assert named("tiny", {"default": "a", "rag": "b"}, "rag") == "b"
    assert named("tiny", "a", True) == named("tiny", "a", "default") == "a"
    with pytest.raises(UserError, match="no chat template called 'other': it has default, rag"):
        named("tiny", {"default": "a", "rag": "b"}, "other")
    with pytest.raises(UserError, match="no chat template called 'rag': it has default"):
        named("tiny", "a", "rag")
    with pytest.raises(UserError, match="has no chat template: run it without"):
        named("tiny", None, True)


def test_the_process_ends_with_its_template(tmp_path: Path) -> None:
    made = template(PLAIN)
    made([USER], True)
    process = made.process
    assert process is not None
    assert process.poll() is None
    del made
    assert process.poll() is not None
