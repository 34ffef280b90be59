"""Filters against lm-eval's own, and their errors."""

from __future__ import annotations

import pytest

from evalkit.contract.errors import UserError
from evalkit.metrics.filters import build

TEXTS = ["", "  x y \n", "#### 1,234.5 then #### 7", "The answer is (B).", "(a) (b)", "ÄÖ \u00a0"]


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("remove_whitespace", {}),
        ("lowercase", {}),
        ("uppercase", {}),
        ("regex", {}),
        ("regex", {"group_select": -1}),
        ("regex", {"regex_pattern": r"(\(A\))|(\([a-z]\))", "group_select": -1}),
        ("regex", {"regex_pattern": r"answer is (.*)", "fallback": "none found"}),
    ],
)
def test_filters_equal_lm_eval(name: str, args: dict) -> None:
    import lm_eval.filters  # noqa: F401 (registers them)
    from lm_eval.api.registry import get_filter

    theirs = next(iter(get_filter(name)(**args).apply([TEXTS], [{}])))
    ours = build({"function": name, **args})
    assert [ours(text) for text in TEXTS] == theirs


def test_steps_apply_in_order() -> None:
    steps = ["strip", {"function": "regex", "regex_pattern": "[A-Z]+", "group_select": -1}, "lowercase", "take_first"]
    assert build(steps)("  one TWO THREE ") == "three"
    assert build("none")(" x ") == " x "
    assert build({"function": "map", "mapping_dict": {"A": "yes"}, "default_value": "no"})("B") == "no"


def test_a_match_out_of_reach_is_the_fallback() -> None:
    assert build({"function": "regex", "regex_pattern": "x", "group_select": 3})("xx") == "[invalid]"


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("lowercas", "did you mean lowercase"),
        ("zzz", "known: "),
        ({"function": "regex", "regex_pattern": "("}, "malformed"),
        ({"function": "regex", "pattern": "x"}, "its arguments are"),
        ({}, "unknown filter ''"),
    ],
)
def test_bad_filters_say_what_is_wrong(step: object, words: str) -> None:
    with pytest.raises(UserError, match=words.replace("(", r"\(")):
        build(step)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("\n\n It is.\nSo.\n \nMore", "It is.\nSo."),
        ("one", "one"),
        (" \n", ""),
        ("a\n\n\nb", "a"),
        ("<think>x\n\ny</think>\n\nz\n\nw", "z"),
    ],
)
def test_the_first_paragraph(text: str, first: str) -> None:
    assert build(["strip_thinking", "first_paragraph"])(text) == first
