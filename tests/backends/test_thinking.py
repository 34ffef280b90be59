"""Thoughts: where they end, that stop strings count behind them, and that all ways of reading a reply say the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_stops import decode, ids

from evalkit.backends import opening
from evalkit.backends.stops import StopScan
from evalkit.backends.thinking import PAIRS, Answer, Marks, answer_of, marks_of
from evalkit.contract.backend import GenerateResult
from evalkit.contract.errors import UserError
from evalkit.contract.types import UNFINISHED, Generate
from evalkit.engine import answer
from evalkit.spec.models import EngineSpec, ModelSpec

THINK = Marks("<think>", "</think>")
PIECES = ["<think>", "</think>", "<", "think", ">", "a", " ", "\n", "é", "."]
THOUGHT = "<think>\nFrance is a country.\n\nIts seat of government is Paris.\n</think>\n\n"


def scanned(reply: str, until: list[str], marks: Marks, opened: bool = False, most: int = 10_000) -> GenerateResult:
    scan = StopScan(until, decode, max_tokens=most, marks=marks, opened=opened)
    scan.extend(ids(reply))
    return scan.answer()


@pytest.mark.parametrize(
    ("reply", "until", "opened", "text", "thought", "finish"),
    [
        (f"{THOUGHT}Paris", ["\n"], False, "Paris", THOUGHT, "stop"),
        (f"{THOUGHT}Paris\nQ: more", ["\n\n", "\n"], False, "Paris", THOUGHT, "stop"),
        (f" \n{THOUGHT}Paris.", ["."], False, "Paris", f" \n{THOUGHT}", "stop"),
        ("so.\n</think> Paris\n", ["\n", "."], True, "Paris", "so.\n</think> ", "stop"),
        ("<think></think>Paris", ["\n"], False, "Paris", "<think></think>", "stop"),
        (
            "<think>a</think>\n<think>b\n</think>\nParis\n",
            ["\n"],
            False,
            "Paris",
            "<think>a</think>\n<think>b\n</think>\n",
            "stop",
        ),
        ("<think>a</think>\n\n", ["\n"], False, "", "<think>a</think>\n\n", "stop"),
        ("<think>so it is\n\nParis", ["\n"], False, "", "<think>so it is\n\nParis", UNFINISHED),
        ("so it is\n\nParis", ["\n"], True, "", "so it is\n\nParis", UNFINISHED),
        ("Paris </think> or so\n", ["\n"], False, "Paris </think> or so", None, "stop"),
        ("<thin\n", ["\n"], False, "<thin", None, "stop"),
        ("Paris\n<think>", ["\n"], False, "Paris", None, "stop"),
        (" <b>", ["<"], False, " ", None, "stop"),
        ("", ["\n"], False, "", None, "stop"),
    ],
)
def test_stops_count_behind_the_thought(
    reply: str, until: list[str], opened: bool, text: str, thought: str | None, finish: str
) -> None:
    whole = answer_of(reply, until, THINK, opened)
    assert whole == Answer(text, thought, finish)
    stepwise = scanned(reply, until, THINK, opened)
    assert (stepwise.text, stepwise.thought, stepwise.finish) == (text, thought, finish)


def test_a_row_ends_with_the_first_stop_behind_the_thought_and_not_later() -> None:
    assert scanned(f"{THOUGHT}Paris\nQ: more", ["\n"], THINK).output_tokens == len(f"{THOUGHT}Paris\n")
    assert scanned("\nParis", ["\n"], THINK).output_tokens == len("\nP"), "a thought might have begun here"
    assert scanned(" " * 9 + "\nParis", ["\n"], THINK).output_tokens == 10, "and here no more"


def test_an_unfinished_thought_is_told_apart_from_an_answer_that_was_cut() -> None:
    assert scanned(f"{THOUGHT}Paris is", ["\n"], THINK, most=20).finish == UNFINISHED
    cut = scanned(f"{THOUGHT}Paris is", ["\n"], THINK, most=len(THOUGHT) + 3)
    assert (cut.text, cut.finish) == ("Par", "length")


def test_the_end_of_a_turn_ends_a_thought_that_never_ends() -> None:
    """A stop string that is a special token is no text that a thought may hold."""
    found = scanned("<think>so<|im_end|>babble</think>x", ["<|im_end|>"], THINK)
    assert (found.text, found.finish, found.output_tokens) == ("", UNFINISHED, len("<think>so") + 1)
    written = StopScan([], decode, end_text="<eot>", marks=THINK)
    written.extend(ids("<think>so<eot>babble"))
    assert (written.finish, written.answer().finish) == ("stop", UNFINISHED)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(PIECES), max_size=12),
    st.lists(st.sampled_from(["\n", ".", "a", "<", "é", "\n\n", "think"]), max_size=3),
    st.booleans(),
)
def test_token_by_token_and_whole_say_the_same(pieces: list[str], until: list[str], opened: bool) -> None:
    reply = "".join(pieces)
    one, other = scanned(reply, until, THINK, opened), answer_of(reply, until, THINK, opened)
    assert (one.text, one.finish) == (other.text, other.finish)


@pytest.mark.parametrize("start", [start for start, _ in PAIRS])
def test_marks_come_from_the_user_then_from_the_template_then_from_habit(start: str) -> None:
    end = dict(PAIRS)[start]
    plain = ModelSpec(name="m")
    assert marks_of(plain) == marks_of(plain, "{{ messages }}") == Marks("<think>", "</think>")
    assert marks_of(plain, f"... {start} x {end}") == Marks(start, end, sure=True)
    asked = ModelSpec(name="m", think_start=start)
    assert marks_of(asked, "<think></think>") == Marks(start, end, sure=True)
    assert marks_of(ModelSpec(name="m", think_end=end)) == Marks(start, end, sure=True, always=True)
    with pytest.raises(UserError, match="two different texts"):
        marks_of(ModelSpec(name="m", think_start=start, think_end=start))
    with pytest.raises(UserError, match="what ends such a thought"):
        marks_of(ModelSpec(name="m", think_start="((((("))


def test_with_an_end_of_one_s_own_everything_before_it_is_a_thought() -> None:
    marks = marks_of(ModelSpec(name="m", think_end="=>"))
    for read in (answer_of, scanned):
        found = read("4 and 2\nis => 42\nQ", ["\n"], marks)
        assert (found.text, found.finish) == ("42", "stop")
        found = read("42\nQ", ["\n"], marks)
        assert (found.text, found.finish, found.thought) == ("42", "stop", None)
    assert answer_of("4 and", ["\n"], marks, finish="length").finish == UNFINISHED
    assert scanned("4 and", ["\n"], marks, most=4).finish == UNFINISHED


@pytest.mark.model
def test_a_real_model_s_thoughts_are_told_from_its_answers(smollm2_folder: Path) -> None:
    """The examples show a thought before each answer, and the model goes on as they do."""
    shown = "".join(f"Q: {word}\nA: <think>It is so. So</think> yes, {word}.\n\n" for word in ("one", "two", "three"))
    opened = f"{shown}Q: four\nA: <think>"
    asked = [
        Generate(opened, ("\n", "."), 24),
        Generate(opened, (" ",), 3),
        Generate(opened.removesuffix(" <think>"), ("\n", "."), 24),
    ]
    backend = opening.open_backend(ModelSpec(name=str(smollm2_folder)), EngineSpec())
    found = answer(backend, asked, None, EngineSpec())
    backend.close()
    assert [(one.text, one.finish) for one in found] == [("yes, four", "stop"), ("", UNFINISHED), ("yes, four", "stop")]
    assert (found[0].thought, found[2].thought) == ("It is so. So</think> ", " <think>It is so. So</think> ")
