"""Untrusted text made safe to look at: on a terminal, in a page, in XML, in a spreadsheet."""

from __future__ import annotations

import re
from typing import Any

_HIDDEN = frozenset(
    chr(code)
    for code in (
        *(code for code in range(0x20) if code not in (0x09, 0x0A)),
        *range(0x7F, 0xA0),
        *(0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x200B, 0x200E, 0x200F),
        *(0x3164, 0xFEFF, 0xFFA0),
        *(*range(0x180B, 0x1810), *range(0x2028, 0x202F), *range(0x2060, 0x2070), *range(0xFFF0, 0xFFFC)),
        *(*range(0x1BCA0, 0x1BCA4), *range(0x1D173, 0x1D17B), *range(0xE0000, 0xE1000)),
        *range(0xD800, 0xE000),
        *(*range(0xFDD0, 0xFDF0), *(plane << 16 | last for plane in range(17) for last in (0xFFFE, 0xFFFF))),
    )
)
"""Controls (a terminal obeys them, XML forbids them), characters that reorder or hide their neighbours or are not seen
(Unicode Technical Report 36; Default_Ignorable_Code_Point without the joiners and variation selectors that scripts and
emoji need), lone surrogates (no file can hold them), and what is no character (XML forbids U+FFFE and U+FFFF).
"""


def visible(text: str) -> str:
    """The text with control, reordering and hidden characters shown as code points; line breaks and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    plain = text.replace("\r\n", "\n")
    return "".join(f"⟨U+{ord(mark):04X}⟩" if mark in _HIDDEN else mark for mark in plain)


_FORMULA = re.compile(r"(?:^|[\r\n\t;,|])\s*[=+\-@\uff1d\uff0b\uff0d\uff20\u2212\ufe62\ufe63\ufe66\ufe6b]|^[\t\r\n]")


def no_formula(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets an apostrophe in front, and its line breaks and tabs become
    spaces, behind which another cell might begin (OWASP, CSV injection: also full-width signs).
    """
    if not isinstance(value, str) or not _FORMULA.search(value):
        return value
    return "'" + re.sub(r"[\r\n\t]+", " ", value)
