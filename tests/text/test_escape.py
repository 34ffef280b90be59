"""Characters that nobody sees are shown, in pages, on terminals, in feeds and in tables for spreadsheets."""

from __future__ import annotations

from xml.etree import ElementTree as xml

import pytest

from evalkit.text.escape import no_formula, visible


@pytest.mark.parametrize(
    "code",
    [0x00, 0x1B, 0x7F, 0x9B, 0xAD, 0x34F, 0x115F, 0x1160, 0x17B4, 0x180E, 0x200B, 0x202E, 0x2028,
     0x2063, 0x206F, 0x3164,
     0xFEFF, 0xFFA0, 0xFFF9, 0xFFFE, 0xFFFF, 0xFDD0, 0x1D173, 0x1FFFF, 0xE0001, 0xE0041, 0xE0FFF, 0xD800, 0x10FFFF],
)  # fmt: skip
def test_what_cannot_be_seen_is_shown_and_well_formed(code: int) -> None:
    shown = visible(f"a{chr(code)}b")
    assert shown == f"a⟨U+{code:04X}⟩b"
    element = xml.Element("name")
    element.text = shown
    assert xml.fromstring(xml.tostring(element)).text == shown


@pytest.mark.parametrize("text", ["plain\n\ttext", "नमस्ते", "کتاب\u200cها", "👩\u200d🔬 ❤\ufe0f", "日本語\u3000", "é"])
def test_what_scripts_need_stays(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "a\r=1", "a\n=cmd", "＝1+1", "＋1", "－1", "＠x", " =1",
     "−1", "a;=1", "a\t=1", "﹢1", "x\r\n+1"],
)  # fmt: skip
def test_no_cell_begins_a_formula(text: str) -> None:
    shown = no_formula(text)
    assert shown.startswith("'")
    assert not set("\r\n\t") & set(shown)


@pytest.mark.parametrize("text", ["llama-3", "a=b", "x + y", "1.5", "", "mmlu @ 5 shots", 7, None, -3.5])
def test_ordinary_cells_stay(text: object) -> None:
    assert no_formula(text) == text
