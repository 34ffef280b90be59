"""Filters over several answers, and the rule by which thinking is left out."""

from __future__ import annotations

import pytest

from evalkit.contract.errors import UserError
from evalkit.metrics.filters import build, build_many


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<think>2 + 2</think> 4", "4"),
        ("<think>a</think>one<think>b\nc</think> two", "one two"),
        ("so it is 4</think>\n\n5", "5"),
        ("4 <think>but wait", "4"),
        ("<think>never done", ""),
        ("no thinking", "no thinking"),
        ("", ""),
    ],
)
def test_strip_thinking(text: str, left: str) -> None:
    assert build("strip_thinking")(text) == left
    assert build_many("strip_thinking")([text, "x"]) == [left, "x"]


def test_strip_thinking_with_other_tags() -> None:
    apply = build({"function": "strip_thinking", "start": "[[", "end": "]]"})
    assert apply("[[a|b]] <think>c</think>") == "<think>c</think>"
    with pytest.raises(UserError, match="cannot be empty"):
        build({"function": "strip_thinking", "start": ""})


def test_choosing_among_answers() -> None:
    assert build_many("take_first")(["b", "a"]) == ["b"]
    assert build_many([{"function": "take_first_k", "k": 2}])(["b", "a", "c"]) == ["b", "a"]
    assert build_many("majority_vote")(["x", "a", "b", "b", "a"]) == ["a"]
    assert build_many({"function": "majority_vote", "ignore": "[invalid]"})(["[invalid]", "[invalid]", "7"]) == ["7"]
    assert build_many({"function": "majority_vote", "ignore": "[invalid]"})(["[invalid]"]) == ["[invalid]"]
    steps = [{"function": "take_first_k", "k": 3}, {"function": "regex", "regex_pattern": "([0-9]+)"}, "majority_vote"]
    assert build_many(steps)(["is 4", "is 5", "5!", "4", "4"]) == ["5"]
    with pytest.raises(UserError, match="give 1 or more"):
        build_many({"function": "take_first_k", "k": 0})
    with pytest.raises(UserError, match="its arguments are"):
        build_many({"function": "take_first_k", "count": 2})
